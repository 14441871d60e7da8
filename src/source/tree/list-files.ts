/** Lists what belongs to a source folder: what Git would commit, or everything but leftovers of tools. */
import { lstat, readdir } from 'node:fs/promises';
import path from 'node:path';
import { runProcess } from '../../process/run-process.ts';
import { KilnError } from '../../base/error.ts';

export interface FileList {
  /** Paths relative to the folder with `/`, sorted by bytes. No folders. */
  readonly paths: readonly string[];
  /** Names that were left out although nothing ignores them, for the log. */
  readonly skipped: readonly string[];
}

/** More than this is a mistaken path (a home folder, `/`), not a source. */
const MAX_FILES = 200_000;
const LEFTOVERS = new Set([
  '.git',
  '.hg',
  '.svn',
  '.kiln',
  '.direnv',
  '.venv',
  '__pycache__',
  'node_modules',
  '.DS_Store',
]);
const SECRET_FILE = /^\.env(\.[\w-]+)*\.?(local)?$/;
const SHAREABLE_ENV = /^\.env\.(example|sample|template|dist)$/;

/**
 * In a Git work tree: tracked files and untracked ones that are not ignored, submodules' files included.
 * Elsewhere: all files but tool leftovers (`node_modules`, `.venv` …), `result` links and `.env` files.
 * @throws KilnError too-large
 */
export async function listFiles(directory: string, signal?: AbortSignal): Promise<FileList> {
  const skipped: string[] = [];
  const paths = (await listGitFiles(directory, signal)) ?? (await walk(directory, '', skipped));
  if (paths.length > MAX_FILES) throw tooMany(directory);
  return { paths: [...paths].sort(byBytes), skipped };
}

/** The top folder of the Git work tree that `directory` lies in. */
export async function gitTopLevel(directory: string, signal?: AbortSignal): Promise<string | undefined> {
  const result = await git(directory, ['rev-parse', '--show-toplevel'], signal);
  return result === undefined ? undefined : result.trim();
}

export function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

async function listGitFiles(directory: string, signal?: AbortSignal): Promise<string[] | undefined> {
  const tracked = await git(directory, ['ls-files', '-z', '--cached', '--recurse-submodules'], signal);
  if (tracked === undefined) return undefined;
  const untracked = await git(directory, ['ls-files', '-z', '--others', '--exclude-standard'], signal);
  const names = new Set([...tracked.split('\0'), ...(untracked ?? '').split('\0')]);
  // A trailing slash is a nested repository that is not a submodule: Git would not commit its files.
  const candidates = [...names].filter((name) => name !== '' && !name.endsWith('/'));
  // An ignored folder inside a work tree lists nothing; it is then a folder of its own.
  if (candidates.length === 0) return undefined;
  const present = await Promise.all(candidates.map((name) => isFileOrLink(path.join(directory, name))));
  return candidates.filter((_, position) => present[position]);
}

/** Runs git without the repository's hooks, monitors or pagers; undefined where git is missing or it is no work tree. */
async function git(
  directory: string,
  args: readonly string[],
  signal?: AbortSignal,
): Promise<string | undefined> {
  const fixed = [
    '-c',
    'core.fsmonitor=false',
    '-c',
    'core.hooksPath=/dev/null',
    '-c',
    'safe.directory=*',
    '-C',
    directory,
  ];
  try {
    const result = await runProcess('git', [...fixed, ...args], {
      signal,
      keepBytes: 2 ** 27,
      env: gitEnvironment(),
    });
    return result.exitCode === 0 ? result.stdout : undefined;
  } catch (error) {
    if (error instanceof KilnError && error.code === 'tool-missing') return undefined;
    throw error;
  }
}

/** Without `GIT_DIR` and its kin, which a hook that calls Kiln would hand down. */
function gitEnvironment(): Record<string, string | undefined> {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('GIT_'));
  return { ...Object.fromEntries(kept), GIT_OPTIONAL_LOCKS: '0', LC_ALL: 'C' };
}

async function walk(directory: string, prefix: string, skipped: string[]): Promise<string[]> {
  const entries = await readdir(path.join(directory, prefix), { withFileTypes: true });
  const found: string[] = [];
  for (const entry of entries) {
    const name = prefix === '' ? entry.name : `${prefix}/${entry.name}`;
    if (LEFTOVERS.has(entry.name)) continue;
    if (entry.isSymbolicLink() && /^result(-\w+)?$/.test(entry.name)) continue;
    if (SECRET_FILE.test(entry.name) && !SHAREABLE_ENV.test(entry.name)) skipped.push(name);
    else if (entry.isDirectory()) found.push(...(await walk(directory, name, skipped)));
    else if (entry.isFile() || entry.isSymbolicLink()) found.push(name);
    else skipped.push(name);
    if (found.length > MAX_FILES) throw tooMany(directory);
  }
  return found;
}

async function isFileOrLink(file: string): Promise<boolean> {
  const stat = await lstat(file).catch(() => undefined);
  return stat !== undefined && (stat.isFile() || stat.isSymbolicLink());
}

function tooMany(directory: string): KilnError {
  return new KilnError('too-large', `${directory} holds more than ${MAX_FILES} files`, {
    hint: 'Name the folder of the application itself, or make it a Git repository with a .gitignore.',
  });
}
