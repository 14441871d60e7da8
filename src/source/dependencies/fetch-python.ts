/** Downloads Python packages with pip, which checks them against the lock's hashes. Nothing that is downloaded is executed. */
import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { KilnError } from '../../base/error.ts';
import { runProcess, type ProcessResult } from '../../process/run-process.ts';
import type { SourceContext } from '../source-context.ts';
import type { Dependency, DependencySet } from '../templates/template.ts';
import { dependencySet } from './dependency-set.ts';
import { fetchSdist, MissingWheel, SDISTS } from './fetch-sdist.ts';
import { chooseSdist, metadataWheel, splitRequirement } from './python-sdist.ts';

const DEADLINE_MS = 15 * 60_000;
const MAX_SDISTS = 40;
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
      const pip = (lines: readonly string[], options: PipOptions): Promise<void> =>
        runPip(program, directory, lines, { ...download, ...options }, context);
      const built = await fetchWithSdists(download, directory, pip, context);
      // The tools that build and install, of whatever version is newest today: their hashes are recorded.
      for (const lines of [download.buildRequirements, ...built])
        if (lines.length > 0) await pip(lines, { locked: false });
      return describe(directory, hashes);
    },
  });
}

/**
 * Wheels of everything, and below {@link SDISTS} the sources of what has none. Resolution sees a wheel with their metadata.
 * @returns what building each of them needs
 */
async function fetchWithSdists(
  download: PythonDownload,
  directory: string,
  pip: (lines: readonly string[], options: PipOptions) => Promise<void>,
  context: SourceContext,
): Promise<readonly (readonly string[])[]> {
  const links = path.join(path.dirname(directory), 'links');
  const needs: (readonly string[])[] = [];
  let lines = download.lines;
  for (;;) {
    try {
      await pip(lines, needs.length === 0 ? {} : { links });
      break;
    } catch (error) {
      if (!(error instanceof MissingWheel) || needs.length >= MAX_SDISTS) throw error;
      const { sdist } = error;
      const facts = await fetchSdist(sdist, download, directory, context);
      context.onProgress?.(`${sdist.name} ${sdist.version} has no wheel: it is built in the sandbox`);
      needs.push(facts.buildRequirements);
      const wheel = metadataWheel(sdist, facts);
      await mkdir(links, { recursive: true });
      await writeFile(path.join(links, wheel.file), wheel.content);
      if (download.locked) lines = lines.filter((line) => splitRequirement(line).name !== sdist.name);
    }
  }
  for (const name of await readdir(links).catch(() => []))
    await rm(path.join(directory, name), { force: true });
  return needs;
}

interface PipOptions {
  readonly locked?: boolean;
  /** Folder with wheels that count as if the index had them. */
  readonly links?: string;
}

async function runPip(
  [program, ...prefix]: readonly [string, ...string[]],
  directory: string,
  lines: readonly string[],
  download: PythonDownload & PipOptions,
  context: SourceContext,
): Promise<void> {
  if (lines.length === 0) return;
  const work = path.join(path.dirname(directory), 'pip');
  await mkdir(work, { recursive: true });
  const requirements = path.join(work, 'requirements.txt');
  await writeFile(requirements, `${lines.join('\n')}\n`);
  const common = [
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
    ...download.extraIndexes.flatMap((index) => ['--extra-index-url', index]),
    ...(download.links === undefined ? [] : ['--find-links', download.links]),
  ];
  const run = (words: readonly string[], quiet: boolean): Promise<ProcessResult> =>
    runProcess(program, [...prefix, 'download', ...words, ...common], {
      cwd: work,
      deadlineMs: DEADLINE_MS,
      // The packaged Python lies in the store, where nothing may be written, not even by root.
      env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
      ...(context.signal === undefined ? {} : { signal: context.signal }),
      ...(quiet ? {} : { onLine: (line: string) => context.onProgress?.(line) }),
    });
  const locked = download.locked ? ['--no-deps', '--require-hashes'] : [];
  const result = await run(['--quiet', ...locked, '--requirement', requirements], true);
  if (result.exitCode === 0) return;
  const error = failure(result);
  const missing = error.fields['requirement'];
  if (typeof missing !== 'string') throw error;
  // Asked again, pip tells which source distributions it passed over.
  const { name, ranges } = splitRequirement(missing);
  const listed = await run(['-vv', '--no-deps', `${name}${ranges}`], true);
  const sdist = chooseSdist(`${listed.stdout}\n${listed.stderr}`, missing);
  throw sdist === undefined ? error : new MissingWheel(sdist);
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
      const env = { ...process.env, PYTHONDONTWRITEBYTECODE: '1' };
      return (await runProcess(program, args, { ...signal, env })).exitCode === 0;
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
  const names = (await readdir(directory)).filter((name) => name !== SDISTS).sort();
  const sdists = await readdir(path.join(directory, SDISTS)).catch(() => []);
  names.push(...sdists.sort((a, b) => (a < b ? -1 : 1)).map((name) => path.join(SDISTS, name)));
  return Promise.all(
    names.map(async (file) => {
      const sha256 = createHash('sha256')
        .update(await readFile(path.join(directory, file)))
        .digest('hex');
      const base = path.basename(file).replace(/\.tar\.gz$/, '');
      const at = file.endsWith('.whl') ? base.indexOf('-') : base.lastIndexOf('-');
      const [name, version = ''] = [base.slice(0, at), base.slice(at + 1).split('-')[0]];
      return {
        name: name.replaceAll('_', '-'),
        version,
        integrity: `sha256:${sha256}`,
        locked: locked.has(sha256),
        ...(file.startsWith(`${SDISTS}/`) ? { source: true } : {}),
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
  const missing = /No matching distribution found for ([^\n]+)/.exec(text)?.[1]?.trim();
  if (missing !== undefined) {
    return new KilnError('dependency-fetch', `${missing} is on no index for this Python and Linux`, {
      ...shared,
      hint: 'Correct the name, or ask for a version that supports this Python.',
      fields: { requirement: missing },
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
