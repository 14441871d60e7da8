/** A source folder as Nix will see it: its files, its hash, and a copy of it that nothing changes any more. */
import { createHash, randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import {
  access,
  chmod,
  copyFile,
  lstat,
  mkdir,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import pLimit from 'p-limit';
import { z } from 'zod';
import { KilnError, systemErrorCode } from '../../base/error.ts';
import { hashFile, openFileHashCache } from './file-hash-cache.ts';
import { byBytes, listFiles } from './list-files.ts';
import { nixFacts } from './nix-facts.ts';
import { treeHash, type TreeEntry } from './tree-hash.ts';

export interface SourceTree {
  /** The copy. Named `source`, so that `./.` has the same store path wherever the source came from. */
  readonly directory: string;
  readonly hash: string;
  readonly entries: readonly TreeEntry[];
  /** Left out although nothing ignores them. */
  readonly skipped: readonly string[];
  /** Some Nix file or link names a path above the folder. */
  readonly escapes: boolean;
  /** What in its Nix files depends on more than the tree, e.g. `builtins.currentTime in default.nix`. */
  readonly impurities: readonly string[];
}

export interface SourceTreeOptions {
  readonly workspace: string;
  readonly signal?: AbortSignal;
  /** Only these files instead of everything that belongs to the folder. */
  readonly only?: readonly string[];
}

const ATTEMPTS = 3;

const factsSchema = z.object({
  entries: z.array(
    z.object({
      path: z.string(),
      mode: z.enum(['file', 'executable', 'link']),
      sha256: z.string(),
      size: z.number(),
    }),
  ),
  escapes: z.boolean(),
  impurities: z.array(z.string()),
});

/**
 * Reads `directory` and returns an unchanging copy, `<workspace>/trees/<hash>/source`. A tree that is already there is
 * not copied again. What is hashed is what is copied: a file that changes meanwhile makes it start over.
 * @throws KilnError not-found, too-large, conflict
 */
export async function readSourceTree(directory: string, options: SourceTreeOptions): Promise<SourceTree> {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const tree = await tryToRead(directory, options);
    if (tree !== undefined) return tree;
  }
  throw new KilnError('conflict', `Files in ${directory} keep changing while they are read`, {
    hint: 'Stop what is writing there (a watcher, a build), or have Git ignore the files.',
  });
}

async function tryToRead(directory: string, options: SourceTreeOptions): Promise<SourceTree | undefined> {
  const list =
    options.only === undefined
      ? await listFiles(directory, options.signal)
      : { paths: [...options.only].sort(byBytes), skipped: [] };
  const cache = await openFileHashCache(path.join(options.workspace, 'file-hashes'), directory);
  const limit = pLimit(16);
  const read = await Promise.all(
    list.paths.map((name) => limit(() => readEntry(directory, name, cache.hash, options.signal))),
  );
  if (read.includes(undefined)) return undefined;
  const entries = read.filter((entry) => entry !== undefined);
  await cache.save();
  const hash = treeHash(entries);
  const copied = await copyTree(
    directory,
    entries,
    path.join(options.workspace, 'trees', hash),
    options.signal,
  );
  if (!copied) return undefined;
  const tree = await loadSourceTree(options.workspace, hash);
  return tree === undefined ? undefined : { ...tree, skipped: list.skipped };
}

/** The copy that an earlier {@link readSourceTree} made, if it is still there. */
export async function loadSourceTree(workspace: string, hash: string): Promise<SourceTree | undefined> {
  const folder = path.join(workspace, 'trees', hash);
  const now = new Date();
  try {
    const facts = factsSchema.parse(JSON.parse(await readFile(path.join(folder, 'facts.json'), 'utf8')));
    // Its age tells `pruneTrees` what is no longer asked for.
    await utimes(folder, now, now);
    return { directory: path.join(folder, 'source'), hash, skipped: [], ...facts };
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

type HashFunction = Awaited<ReturnType<typeof openFileHashCache>>['hash'];

/** Undefined where the file went away after it was listed. */
async function readEntry(
  directory: string,
  name: string,
  hash: HashFunction,
  signal?: AbortSignal,
): Promise<TreeEntry | undefined> {
  const file = path.join(directory, name);
  try {
    const stat = await lstat(file, { bigint: true });
    if (stat.isSymbolicLink()) {
      const target = await readlink(file);
      return {
        path: name,
        mode: 'link',
        sha256: createHash('sha256').update(target).digest('hex'),
        size: target.length,
      };
    }
    const mode = (stat.mode & 0o100n) === 0n ? 'file' : 'executable';
    return { path: name, mode, sha256: await hash(file, name, stat, signal), size: Number(stat.size) };
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    if (systemErrorCode(error) === 'EACCES') {
      throw new KilnError('forbidden', `${file} cannot be read`, {
        hint: 'Change its permissions, or have Git ignore it.',
        cause: error,
      });
    }
    throw error;
  }
}

/** False where a file no longer is what was hashed. */
async function copyTree(
  directory: string,
  entries: readonly TreeEntry[],
  target: string,
  signal?: AbortSignal,
): Promise<boolean> {
  if (
    await access(path.join(target, 'facts.json')).then(
      () => true,
      () => false,
    )
  )
    return true;
  const temporary = `${target}.${randomUUID()}`;
  await mkdir(path.join(temporary, 'source'), { recursive: true });
  try {
    const folders = new Set(entries.map((entry) => path.dirname(entry.path)));
    for (const folder of folders) await mkdir(path.join(temporary, 'source', folder), { recursive: true });
    const limit = pLimit(16);
    const same = await Promise.all(
      entries.map((entry) =>
        limit(() => copyEntry(directory, entry, path.join(temporary, 'source', entry.path), signal)),
      ),
    );
    if (same.includes(false)) return false;
    const facts = { entries, ...(await nixFacts(path.join(temporary, 'source'), entries)) };
    await writeFile(path.join(temporary, 'facts.json'), JSON.stringify(facts));
    await rename(temporary, target).catch((error: unknown) => {
      // Somebody else has just made the same copy.
      if (!['ENOTEMPTY', 'EEXIST'].includes(systemErrorCode(error) ?? '')) throw error;
    });
    return true;
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

async function copyEntry(
  directory: string,
  entry: TreeEntry,
  target: string,
  signal?: AbortSignal,
): Promise<boolean> {
  signal?.throwIfAborted();
  const file = path.join(directory, entry.path);
  try {
    if (entry.mode === 'link') {
      const link = await readlink(file);
      await symlink(link, target);
      return createHash('sha256').update(link).digest('hex') === entry.sha256;
    }
    await copyFile(file, target, constants.COPYFILE_FICLONE);
    await chmod(target, entry.mode === 'executable' ? 0o755 : 0o644);
    return (await hashFile(target, signal)) === entry.sha256;
  } catch (error) {
    if (['ENOENT', 'EINVAL'].includes(systemErrorCode(error) ?? '')) return false;
    throw error;
  }
}
