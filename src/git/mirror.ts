/** Keeps what was fetched from each address, so that the next clone transfers only what is new. */
import { createHash } from 'node:crypto';
import { copyFile, link, lstat, mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { isKilnError, systemErrorCode } from '../base/error.ts';
import { lockName } from '../process/name-lock.ts';
import { fetchTarget, type FetchTarget } from './fetch-target.ts';
import { failureReason } from './git-failure.ts';
import { runLocalGit } from './git-session.ts';
import type { Remote } from './remote-refs.ts';

const MAX_PACKS = 40;
const MAX_KEPT_REFS = 64;

/**
 * Fetches `wanted` into the mirror of the remote's address below `mirrorDir`, then gives `target` (a fresh repository with a
 * work tree) its objects as hard links. The remote has answered for the caller's credentials before: a mirror alone gives nothing out.
 * A mirror that a killed process or a disk left broken is made anew.
 * @returns the commit
 */
export async function withMirror(
  mirrorDir: string,
  remote: Remote,
  wanted: FetchTarget,
  target: string,
): Promise<string> {
  const { signal } = remote.session.access;
  const mirror = mirrorPath(mirrorDir, remote.session.url.href);
  await using _lock = await lockName(mirror, signal);
  try {
    return await fetchThrough(mirror, remote, wanted, target);
  } catch (error) {
    if (!isMirrorsFault(error)) throw error;
    await rm(mirror, { recursive: true, force: true });
    await emptyObjects(target);
    return await fetchThrough(mirror, remote, wanted, target);
  }
}

/** Where the mirror of an address is. */
export function mirrorPath(mirrorDir: string, href: string): string {
  return join(resolve(mirrorDir), `${createHash('sha256').update(href).digest('hex').slice(0, 40)}.git`);
}

/**
 * Removes the mirrors used longest ago until the rest is within `maxBytes`, and those not used for `maxAgeMs`.
 * @returns bytes freed
 */
export async function evictMirrors(
  mirrorDir: string,
  limits: { readonly maxBytes: number; readonly maxAgeMs: number },
): Promise<number> {
  const names = (await readdir(mirrorDir).catch(() => [])).filter(
    (name) => name.endsWith('.git') || name.includes('.git.new-'),
  );
  const mirrors = await Promise.all(
    names.map(async (name) => {
      const path = join(resolve(mirrorDir), name);
      const [size, { mtimeMs }] = [await folderSize(path), await stat(path)];
      return { path, size, mtimeMs };
    }),
  );
  mirrors.sort((a, b) => b.mtimeMs - a.mtimeMs);
  let kept = 0;
  let freed = 0;
  for (const { path, size, mtimeMs } of mirrors) {
    if (kept + size <= limits.maxBytes && Date.now() - mtimeMs <= limits.maxAgeMs) {
      kept += size;
      continue;
    }
    await using _lock = await lockName(path.replace(/\.git\.new-.*$/, '.git'));
    await rm(path, { recursive: true, force: true });
    freed += size;
  }
  return freed;
}

/** Forgets the mirror of an address. */
export async function dropMirror(mirrorDir: string, href: string, signal?: AbortSignal): Promise<void> {
  const mirror = mirrorPath(mirrorDir, href);
  await using _lock = await lockName(mirror, signal);
  await rm(mirror, { recursive: true, force: true });
}

async function fetchThrough(
  mirror: string,
  remote: Remote,
  wanted: FetchTarget,
  target: string,
): Promise<string> {
  const { signal } = remote.session.access;
  await prepareMirror(mirror, signal);
  const known = wanted.kind === 'abbreviated' ? undefined : await completeHere(mirror, wanted);
  const sha = known ?? (await fetchTarget(remote, mirror, wanted));
  // Walks the whole tree: a missing or damaged object shows here, not in the middle of a checkout.
  await runLocalGit(['rev-list', '--objects', '--no-walk', '--quiet', sha, '--'], { cwd: mirror, signal });
  await linkObjects(join(mirror, 'objects'), join(target, '.git', 'objects'));
  await copyShallow(mirror, target);
  await runLocalGit(['cat-file', '-e', `${sha}^{tree}`], { cwd: target, signal });
  await tidy(mirror, signal);
  await utimes(mirror, new Date(), new Date());
  return sha;
}

/** The commit, if an earlier fetch with the same or a longer history brought it. */
async function completeHere(mirror: string, wanted: FetchTarget): Promise<string | undefined> {
  if (wanted.sha === undefined || wanted.depth !== 1) return undefined;
  const name = wanted.sha;
  return await runLocalGit(['cat-file', '-e', `${name}^{commit}`], { cwd: mirror }).then(
    () => name,
    () => undefined,
  );
}

/** Makes the mirror under another name first: a folder with the mirror's name is always whole. */
async function prepareMirror(mirror: string, signal?: AbortSignal): Promise<void> {
  if (
    await stat(mirror).then(
      () => true,
      () => false,
    )
  )
    return await removeLockFiles(mirror);
  const fresh = `${mirror}.new-${process.pid}`;
  await rm(fresh, { recursive: true, force: true });
  await mkdir(dirname(mirror), { recursive: true, mode: 0o700 });
  await runLocalGit(['init', '--quiet', '--bare', '--template=', '--', fresh], { cwd: '/', signal });
  await rename(fresh, mirror);
}

/** Lock files and half-received packs of a process that was killed: we hold the mirror's lock, so nobody is using them. */
async function removeLockFiles(mirror: string): Promise<void> {
  for (const entry of await readdir(mirror, { recursive: true, withFileTypes: true })) {
    if (entry.isFile() && (entry.name.endsWith('.lock') || entry.name.startsWith('tmp_'))) {
      await rm(join(entry.parentPath, entry.name), { force: true });
    }
  }
}

/** What making the mirror anew can repair: not the network, the credentials or the name of a branch. */
export function isMirrorsFault(error: unknown): boolean {
  if (!isKilnError(error)) return systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'ENOTDIR';
  if (error.code === 'git-failed') return failureReason(error) === 'unknown';
  return (
    (error.code === 'git-not-found' || error.code === 'git-branch') &&
    /not a git repository|bad object|unable to read/.test(error.where ?? '')
  );
}

async function linkObjects(from: string, to: string): Promise<void> {
  for (const entry of await readdir(from, { recursive: true, withFileTypes: true })) {
    const source = join(entry.parentPath, entry.name);
    const destination = join(to, source.slice(from.length));
    if (entry.isDirectory()) {
      await mkdir(destination, { recursive: true });
    } else if (entry.isFile()) {
      await mkdir(dirname(destination), { recursive: true });
      await link(source, destination).catch(async (error: unknown) => {
        const code = systemErrorCode(error);
        // Another file system, one without hard links, or too many links: a copy is as good.
        if (code === 'EXDEV' || code === 'EPERM' || code === 'EMLINK') await copyFile(source, destination);
        else if (code !== 'EEXIST') throw error;
      });
    }
  }
}

async function copyShallow(mirror: string, target: string): Promise<void> {
  await copyFile(join(mirror, 'shallow'), join(target, '.git', 'shallow')).catch((error: unknown) => {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
  });
}

async function emptyObjects(target: string): Promise<void> {
  await rm(join(target, '.git', 'objects', 'pack'), { recursive: true, force: true });
  await rm(join(target, '.git', 'shallow'), { force: true });
}

/** Every fetch adds a pack and single commits add refs; both slow git down when there are many. */
async function tidy(mirror: string, signal?: AbortSignal): Promise<void> {
  const { stdout } = await runLocalGit(
    ['for-each-ref', '--sort=-committerdate', '--format=%(refname)', 'refs/kiln/'],
    { cwd: mirror, signal },
  );
  const old = stdout
    .split('\n')
    .filter((ref) => ref !== '')
    .slice(MAX_KEPT_REFS);
  if (old.length > 0) {
    await runLocalGit(['update-ref', '--stdin'], {
      cwd: mirror,
      signal,
      stdin: old.map((ref) => `delete ${ref}\n`).join(''),
    });
  }
  const packs = (await readdir(join(mirror, 'objects', 'pack')).catch(() => [])).filter((name) =>
    name.endsWith('.pack'),
  );
  if (packs.length > MAX_PACKS) await runLocalGit(['repack', '-a', '-d', '-q'], { cwd: mirror, signal });
}

async function folderSize(path: string): Promise<number> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true }).catch(() => []);
  const sizes = await Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map(
        async (entry) => (await lstat(join(entry.parentPath, entry.name)).catch(() => undefined))?.size ?? 0,
      ),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}
