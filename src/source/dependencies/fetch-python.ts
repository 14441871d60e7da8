/** Downloads wheels with pip, which checks them against the lock's hashes. Nothing that is downloaded is executed. */
import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { KilnError } from '../../base/error.ts';
import { runProcess, type ProcessResult } from '../../process/run-process.ts';
import type { SourceContext } from '../source-context.ts';
import type { Dependency, DependencySet } from '../templates/template.ts';
import { dependencySet } from './dependency-set.ts';

const DEADLINE_MS = 15 * 60_000;
/** Newest first: wheels that need an older C library than this run on every packaged one. */
const GLIBC_MINORS = [36, 35, 34, 31, 28, 27, 26, 24, 17, 12, 5];

export interface PythonDownload {
  /** Lines of a requirements file. */
  readonly lines: readonly string[];
  /** The lines are the whole closure, each with hashes. */
  readonly locked: boolean;
  readonly extraIndexes: readonly string[];
  /** `3.13`. */
  readonly python: string;
  /** Needed to build the application itself, e.g. `hatchling`. */
  readonly buildRequirements: readonly string[];
}

/** @throws KilnError dependency-fetch, tool-missing */
export async function pythonWheels(download: PythonDownload, context: SourceContext): Promise<DependencySet> {
  return dependencySet(context, {
    name: 'python-packages',
    key: [JSON.stringify(download), context.nix.system],
    fill: async (directory) => {
      const program = await pipCommand(context);
      const hashes = new Set(
        download.lines.flatMap((line) =>
          [...line.matchAll(/--hash=sha256:([0-9a-f]{64})/g)].map((match) => match[1]),
        ),
      );
      await runPip(program, directory, download.lines, download, context);
      // The tools that build and install, of whatever version is newest today: their hashes are recorded.
      if (download.buildRequirements.length > 0)
        await runPip(program, directory, download.buildRequirements, { ...download, locked: false }, context);
      return describe(directory, hashes);
    },
  });
}

async function runPip(
  [program, ...prefix]: readonly [string, ...string[]],
  directory: string,
  lines: readonly string[],
  download: PythonDownload,
  context: SourceContext,
): Promise<void> {
  if (lines.length === 0) return;
  const work = path.join(path.dirname(directory), 'pip');
  await mkdir(work, { recursive: true });
  const requirements = path.join(work, 'requirements.txt');
  await writeFile(requirements, `${lines.join('\n')}\n`);
  const args = [
    ...prefix,
    'download',
    '--quiet',
    '--no-input',
    '--progress-bar',
    'off',
    '--disable-pip-version-check',
    '--dest',
    directory,
    '--cache-dir',
    path.join(context.depsCache, 'pip'),
    '--only-binary',
    ':all:',
    '--implementation',
    'cp',
    '--python-version',
    download.python,
    ...platformArguments(download.python, context.nix.system),
    ...(download.locked ? ['--no-deps', '--require-hashes'] : []),
    ...download.extraIndexes.flatMap((index) => ['--extra-index-url', index]),
    '--requirement',
    requirements,
  ];
  const result = await runProcess(program, args, {
    cwd: work,
    deadlineMs: DEADLINE_MS,
    ...(context.signal === undefined ? {} : { signal: context.signal }),
    onLine: (line) => context.onProgress?.(line),
  });
  if (result.exitCode !== 0) throw failure(result);
}

/** What the packaged Python of that version accepts on Linux, said explicitly: the Python that downloads may be another. */
function platformArguments(python: string, system: string): string[] {
  const machine = system.startsWith('aarch64') ? 'aarch64' : 'x86_64';
  const platforms = [
    ...GLIBC_MINORS.map((minor) => `manylinux_2_${minor}_${machine}`),
    `manylinux2014_${machine}`,
    ...(machine === 'x86_64' ? ['manylinux2010_x86_64', 'manylinux1_x86_64'] : []),
    `linux_${machine}`,
  ];
  const abis = [`cp${python.replace('.', '')}`, 'abi3', 'none'];
  return [
    ...platforms.flatMap((platform) => ['--platform', platform]),
    ...abis.flatMap((abi) => ['--abi', abi]),
  ];
}

/** The packaged Python where it can be had, because markers are evaluated by the one that runs; else the machine's. */
async function pipCommand(context: SourceContext): Promise<readonly [string, ...string[]]> {
  const signal = context.signal === undefined ? {} : { signal: context.signal };
  const runs = async (program: string, args: readonly string[]): Promise<boolean> => {
    try {
      return (await runProcess(program, args, signal)).exitCode === 0;
    } catch (error) {
      if (error instanceof KilnError && error.code === 'tool-missing') return false;
      throw error;
    }
  };
  const packaged = await packagedFolder('python3', context);
  if (packaged !== undefined) {
    const key = createHash('sha256').update(packaged).digest('hex').slice(0, 16);
    const environment = path.join(context.depsCache, 'python', key);
    const program = path.join(environment, 'bin', 'python3');
    if (await runs(program, ['-m', 'pip', '--version'])) return [program, '-m', 'pip'];
    if (await runs(path.join(packaged, 'python3'), ['-m', 'venv', '--clear', environment]))
      return [program, '-m', 'pip'];
    const folder = await packagedFolder('python3Packages.pip', context);
    if (folder !== undefined && (await runs(path.join(folder, 'pip'), ['--version'])))
      return [path.join(folder, 'pip')];
  }
  if (await runs('python3', ['-m', 'pip', '--version'])) return ['python3', '-m', 'pip'];
  throw new KilnError('tool-missing', 'Downloading Python packages needs pip', {
    hint: 'Install python3 and pip (Debian: python3-pip).',
  });
}

/** A package set without the attribute is no failure here: the machine's own Python may do. */
async function packagedFolder(attribute: string, context: SourceContext): Promise<string | undefined> {
  try {
    return await context.nix.programFolder(attribute, context.signal);
  } catch (error) {
    if (error instanceof KilnError && error.code === 'evaluation-failed') return undefined;
    throw error;
  }
}

async function describe(
  directory: string,
  locked: ReadonlySet<string | undefined>,
): Promise<readonly Dependency[]> {
  const names = (await readdir(directory)).sort();
  return Promise.all(
    names.map(async (file) => {
      const sha256 = createHash('sha256')
        .update(await readFile(path.join(directory, file)))
        .digest('hex');
      const [name = file, version = ''] = file.split('-');
      return {
        name: name.replaceAll('_', '-'),
        version,
        integrity: `sha256:${sha256}`,
        locked: locked.has(sha256),
      };
    }),
  );
}

function failure(result: ProcessResult): KilnError {
  const lines = result.stderr
    .trim()
    .split('\n')
    .map((line) => line.replace(/\/\/[^/@\s]*@/g, '//'));
  const text = lines.join('\n');
  const shared = { where: lines.slice(-8).join('\n') };
  const missing = /No matching distribution found for (\S+)/.exec(text)?.[1];
  if (missing !== undefined) {
    return new KilnError('dependency-fetch', `${missing} has no wheel for this Python and Linux`, {
      ...shared,
      hint: 'Ask for a version that has one. Packages that have to be compiled are not downloaded, because their set-up would run outside the sandbox.',
    });
  }
  if (/do not match the hashes|THESE PACKAGES DO NOT MATCH/i.test(text)) {
    return new KilnError('dependency-fetch', 'A Python package is not what the lock names', {
      ...shared,
      hint: 'Find out why it changed before you lock again.',
    });
  }
  if (/ResolutionImpossible|conflicting dependencies/i.test(text)) {
    return new KilnError('dependency-fetch', 'The requirements contradict each other', {
      ...shared,
      hint: 'Loosen one of the versions named above, or commit a lock.',
    });
  }
  return new KilnError('dependency-fetch', 'Python packages could not be downloaded', {
    ...shared,
    hint: 'Check that `pip download` works on this machine: `pip config list`.',
  });
}
