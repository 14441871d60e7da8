/** Checks one program of an image: can the kernel and the loader start it? */
import { readElf } from './elf.ts';
import { type ImageFile, type ImageTree, withContent } from './image-tree.ts';
import { findMissingLibraries } from './library-search.ts';
import type { Finding } from './finding.ts';
import { readShebang, type Shebang, SHEBANG_LIMIT } from './shebang.ts';

export interface ProgramContext {
  readonly tree: ImageTree;
  /** `e_machine` that the image's platform runs. */
  readonly machine: number;
  readonly architecture: string;
  /** Directories of `PATH`. */
  readonly path: readonly string[];
  /** Directories of `LD_LIBRARY_PATH`. */
  readonly libraryPath: readonly string[];
  readonly onBase: boolean;
}

/** The kernel follows interpreters of interpreters this deep. */
const MAX_INTERPRETERS = 4;

export function checkProgram(
  context: ProgramContext,
  path: string,
  severity: Finding['severity'],
  depth = 0,
): Finding[] {
  const found = path.includes('/') ? context.tree.find(path) : findOnPath(context, path);
  const finding = (code: Finding['code'], message: string, hint: string): Finding[] => [
    { severity, code, message, hint, path },
  ];
  if (found?.kind !== 'file') {
    const what = found === undefined ? 'does not exist in the image' : 'is a directory';
    return finding(
      'entry-point-missing',
      `${path} ${what}`,
      'Set image.entrypoint in kiln.toml to a program of the build.',
    );
  }
  if (!found.executable) {
    return finding('not-executable', `${path} is not executable`, 'Run chmod +x on it in the installPhase.');
  }
  const shebang = withContent(found, (readAt) => readShebang(readAt(0, SHEBANG_LIMIT)));
  if (shebang !== undefined) return checkScript(context, path, shebang, severity, depth);
  const facts = withContent(found, readElf);
  if (facts === undefined) {
    return finding(
      'not-a-program',
      `${path} is neither an ELF program nor a script with a first line #!`,
      'Begin the script with #! and the path of its interpreter.',
    );
  }
  if (facts.machine !== context.machine) {
    const message = `${path} is built for another architecture (ELF machine ${facts.machine}) than the image (${context.architecture})`;
    return finding('wrong-architecture', message, 'Build for the system of the image.');
  }
  return checkLoading(context, found, facts, severity);
}

function checkLoading(
  context: ProgramContext,
  file: ImageFile,
  facts: NonNullable<ReturnType<typeof readElf>>,
  severity: Finding['severity'],
): Finding[] {
  const { path } = file;
  const inBase = context.onBase && facts.interpreter?.startsWith('/nix/') === false;
  if (inBase) return [];
  if (facts.interpreter !== undefined && context.tree.find(facts.interpreter)?.kind !== 'file') {
    return [
      {
        severity,
        code: 'interpreter-missing',
        message: `${path} needs the loader ${facts.interpreter}, which is not in the image`,
        hint: 'Use autoPatchelfHook or patchelf --set-interpreter, or let the build depend on glibc so that Kiln can link its loader.',
        path,
      },
    ];
  }
  return findMissingLibraries(context.tree, file, facts, context.libraryPath).map(
    ({ library, neededBy }) => ({
      severity,
      code: 'library-missing',
      message: `${neededBy} needs the library ${library}, which its search path does not lead to`,
      hint: 'Add the package that has it to buildInputs; for foreign binaries use autoPatchelfHook or patchelf --set-rpath.',
      path: neededBy,
    }),
  );
}

function checkScript(
  context: ProgramContext,
  path: string,
  shebang: Shebang,
  severity: Finding['severity'],
  depth: number,
): Finding[] {
  const missing = (interpreter: string): Finding[] => [
    {
      severity,
      code: 'interpreter-missing',
      message: `The script ${path} needs ${interpreter}, which is not in the image`,
      hint: 'Run patchShebangs in the build, or add the interpreter to buildInputs.',
      path,
    },
  ];
  const { interpreter } = shebang;
  if (context.onBase && !interpreter.startsWith('/nix/')) return [];
  if (context.tree.find(interpreter)?.kind !== 'file' || depth >= MAX_INTERPRETERS)
    return missing(interpreter);
  const findings = checkProgram(context, interpreter, severity, depth + 1);
  if (findings.length > 0 || !interpreter.endsWith('/env')) return findings;
  const command = envCommand(shebang.argument ?? '');
  return command === undefined || findOnPath(context, command) !== undefined ? [] : missing(command);
}

/** The program that `env [-S] [NAME=value…] program` runs. */
function envCommand(argument: string): string | undefined {
  return argument.split(/[ \t]+/).find((word) => word !== '' && !word.startsWith('-') && !word.includes('='));
}

function findOnPath(context: ProgramContext, command: string): ImageFile | undefined {
  for (const folder of context.path) {
    const file = context.tree.find(`${folder}/${command}`);
    if (file?.kind === 'file' && file.executable) return file;
  }
  return undefined;
}
