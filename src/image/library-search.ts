/** Finds the libraries of a program the way the dynamic loader will (ld.so(8)), inside an image. */
import { type ElfFacts, readElf } from './elf.ts';
import { type ImageFile, type ImageTree, withContent } from './image-tree.ts';

export interface MissingLibrary {
  readonly library: string;
  /** The program or library that needs it. */
  readonly neededBy: string;
}

interface Loaded {
  readonly file: ImageFile;
  /** Path by which it was found: `$ORIGIN` is its directory, links not followed. */
  readonly foundAs: string;
  readonly facts: ElfFacts;
  /** DT_RPATH directories of those that needed it. */
  readonly inherited: readonly string[];
}

/** A program with more libraries than this is cut short; real ones have a few hundred. */
const MAX_LIBRARIES = 2000;

/** @param libraryPath directories of `LD_LIBRARY_PATH` */
export function findMissingLibraries(
  tree: ImageTree,
  program: ImageFile,
  facts: ElfFacts,
  libraryPath: readonly string[],
): MissingLibrary[] {
  const missing: MissingLibrary[] = [];
  const known = new Set<string>();
  const queue: Loaded[] = [{ file: program, foundAs: program.path, facts, inherited: [] }];
  const builtIn = defaultFolders(tree, facts);
  for (
    let object = queue.shift();
    object !== undefined && known.size < MAX_LIBRARIES;
    object = queue.shift()
  ) {
    for (const library of object.facts.needed) {
      if (known.has(library) || isLoader(library, facts)) continue;
      known.add(library);
      const own = object.facts.runpath.map((folder) =>
        expandOrigin(folder, object.foundAs, object.file.path),
      );
      const folders = [
        ...(object.facts.inherited ? [] : object.inherited),
        ...libraryPath,
        ...own.flat(),
        ...builtIn,
      ];
      const found = locate(tree, library, folders, facts.machine);
      if (found === undefined) missing.push({ library, neededBy: object.file.path });
      else
        queue.push({
          ...found,
          inherited: object.facts.inherited ? [...object.inherited, ...own.flat()] : object.inherited,
        });
    }
  }
  return missing;
}

/** A library of another architecture is passed over, as the loader does. */
function locate(
  tree: ImageTree,
  library: string,
  folders: readonly string[],
  machine: number,
): Omit<Loaded, 'inherited'> | undefined {
  const candidates = library.includes('/') ? [library] : folders.map((folder) => `${folder}/${library}`);
  for (const candidate of candidates) {
    const file = tree.find(candidate);
    if (file?.kind !== 'file') continue;
    const facts = withContent(file, readElf);
    if (facts?.machine === machine) return { file, foundAs: candidate, facts };
  }
  return undefined;
}

/** The loader searches the folder it was installed in, then the usual ones. */
function defaultFolders(tree: ImageTree, facts: ElfFacts): string[] {
  const loader = facts.interpreter === undefined ? undefined : tree.find(facts.interpreter);
  const own = loader === undefined ? [] : [loader.path.slice(0, loader.path.lastIndexOf('/'))];
  return [...own, '/lib', '/usr/lib', '/lib64', '/usr/lib64'];
}

function expandOrigin(folder: string, foundAs: string, real: string): string[] {
  if (!folder.includes('ORIGIN')) return [folder];
  return [...new Set([foundAs, real])].map((path) =>
    folder.replace(/\$(?:ORIGIN\b|\{ORIGIN\})/g, path.slice(0, path.lastIndexOf('/'))),
  );
}

/** musl is its own loader, and answers to the names of the libraries that are part of it. */
function isLoader(library: string, facts: ElfFacts): boolean {
  const loader = facts.interpreter?.slice(facts.interpreter.lastIndexOf('/') + 1) ?? '';
  return (
    library === loader ||
    (loader.startsWith('ld-musl') &&
      /^(?:libc\.so|libc\.musl-.*|lib(?:pthread|m|dl|rt|util)\.so.*)$/.test(library))
  );
}
