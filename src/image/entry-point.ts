/** Finds the program that an image runs, when the settings leave it open. */
import type { StorePath } from '../base/brand.ts';
import { isKilnError, KilnError } from '../base/error.ts';
import { nameOf } from '../store/store-path.ts';
import type { ImageTree } from './image-tree.ts';

/** What the derivation says about itself; plain data from the evaluation. */
export interface ProgramFacts {
  /** `meta.mainProgram`. */
  readonly mainProgram?: string;
  readonly pname?: string;
}

export interface EntryPointInput {
  /** Outputs of the build, the one with the program first. */
  readonly roots: readonly StorePath[];
  readonly facts: ProgramFacts;
  /** `image.entrypoint` of the settings. */
  readonly entrypoint?: readonly string[];
  /** The closure's files. */
  readonly tree: ImageTree;
}

const NOTHING_TO_RUN = 'nothing-to-run';

/** The result is files only: libraries, documents, a source tree. */
export function isNothingToRun(error: unknown): boolean {
  return isKilnError(error) && error.fields['reason'] === NOTHING_TO_RUN;
}

/**
 * Program and fixed arguments. A program without a slash is looked for in `bin` of the outputs.
 * @throws KilnError image-failed, with the candidates when there are several
 */
export function findEntryPoint(input: EntryPointInput): readonly string[] {
  const [program, ...fixed] = input.entrypoint ?? [];
  if (program !== undefined) return [resolveProgram(program, input), ...fixed];
  for (const root of input.roots) if (isProgram(root, input.tree)) return [root];
  const candidates = input.roots.flatMap((root) => programsOf(root, input.tree));
  const chosen = chooseByName(candidates, input);
  if (chosen !== undefined) return [chosen];
  if (candidates.length === 0) throw nothingToRun(input.roots);
  throw new KilnError(
    'image-failed',
    `The build made ${candidates.length} programs and none is named as the one to run`,
    {
      hint: 'Set image.entrypoint in kiln.toml, or meta.mainProgram in the expression, to one of the programs.',
      where: candidates.slice(0, 20).map(lastPart).join(', '),
      fields: { candidates },
    },
  );
}

function resolveProgram(program: string, input: EntryPointInput): string {
  if (program.startsWith('/')) return program;
  const file = program.includes('/') ? program : `bin/${program}`;
  for (const root of input.roots) {
    if (input.tree.find(`${root}/${file}`) !== undefined) return `${root}/${file}`;
  }
  const candidates = input.roots.flatMap((root) => programsOf(root, input.tree));
  throw new KilnError('image-failed', `The entry point "${program}" is not among the programs of the build`, {
    where: `image.entrypoint; the build has ${candidates.slice(0, 20).map(lastPart).join(', ') || 'no programs'}`,
    hint: 'Name one of the programs, or give an absolute path.',
    fields: { candidates },
  });
}

/** By `mainProgram`, then `pname`, then the name of the path without its version, then the only one there is. */
function chooseByName(candidates: readonly string[], input: EntryPointInput): string | undefined {
  const [root] = input.roots;
  const ownName = root === undefined ? undefined : nameOf(root);
  const names = [input.facts.mainProgram, input.facts.pname, ownName, ownName?.replace(/-\d.*$/, '')];
  for (const name of names) {
    const match =
      name === undefined ? undefined : candidates.find((candidate) => lastPart(candidate) === name);
    if (match !== undefined) return match;
  }
  // Wrapped programs keep the original as a hidden file.
  const visible = candidates.filter((candidate) => !lastPart(candidate).startsWith('.'));
  return visible.length === 1 ? visible[0] : undefined;
}

function programsOf(root: StorePath, tree: ImageTree): string[] {
  return tree
    .list(`${root}/bin`)
    .map((name) => `${root}/bin/${name}`)
    .filter((program) => isProgram(program, tree));
}

function isProgram(path: string, tree: ImageTree): boolean {
  const file = tree.find(path);
  return file?.kind === 'file' && file.executable;
}

function nothingToRun(roots: readonly StorePath[]): KilnError {
  return new KilnError('image-failed', 'The build made nothing that could be run', {
    where: roots.join(', '),
    hint: 'Put a program into $out/bin, or set image.entrypoint in kiln.toml to an absolute path.',
    fields: { reason: NOTHING_TO_RUN },
  });
}

function lastPart(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
