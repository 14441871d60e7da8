/** Fetches one commit of a repository into a folder, as a normal checkout. */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { KilnError, systemErrorCode } from '../base/error.ts';
import { readCommit, type CommitInfo } from './commit-info.ts';
import { fetchTarget, type FetchTarget } from './fetch-target.ts';
import { findLfsPointers } from './lfs-pointers.ts';
import { dropMirror, isMirrorsFault, withMirror } from './mirror.ts';
import { connectRemote, resolveAt, type Remote } from './remote-refs.ts';
import { runLocalGit, type GitAccess } from './git-session.ts';
import { cloneSubmodules } from './submodules.ts';
import { resolveSubdirectory } from './subdirectory.ts';
import type { GitUrl } from './git-url.ts';

export interface CloneOptions extends GitAccess {
  /** Branch, tag, full ref or commit; default: the remote's HEAD. */
  readonly ref?: string;
  /** Commits of history to fetch; 0 for all of it. Default 1. */
  readonly depth?: number;
  /** Also fetches the submodules, each checked like an address of its own. Default false. */
  readonly submodules?: boolean;
  /** Folder inside the repository; must exist and stay inside after following symbolic links. */
  readonly subdirectory?: string;
  /** Removes every `.git` at the end, so that only the content of the commit is left. Default false. */
  readonly contentOnly?: boolean;
  /** Keeps what was fetched in this folder, so that the next clone of the same address fetches only what is new. */
  readonly mirrorDir?: string;
}

export interface CloneResult {
  /** Where the checkout is, absolute. */
  readonly directory: string;
  /** The asked-for subdirectory, absolute; else the same as `directory`. */
  readonly root: string;
  /** The address after redirects. */
  readonly url: string;
  readonly commit: CommitInfo;
  /** Branch that was checked out, if it was one. */
  readonly branch?: string;
  readonly tag?: string;
  /** Object identifier of git's tree, over names, modes and contents of the whole repository. */
  readonly tree: string;
  /** Things that are worth saying but no failure. */
  readonly warnings: readonly string[];
}

/**
 * Clones into `directory`, which must be missing or empty; after a failure it is as it was.
 * @throws KilnError git-*, conflict, disk-full, cancelled
 */
export async function cloneRepository(
  url: GitUrl,
  directory: string,
  options: CloneOptions = {},
): Promise<CloneResult> {
  const target = resolve(directory);
  const existed = await requireEmpty(target);
  try {
    await using remote = await connectRemote(url, options, options.ref);
    return await cloneFrom(remote, target, options).catch(async (error: unknown) => {
      if (options.mirrorDir === undefined || !isMirrorsFault(error)) throw error;
      // A damaged file content shows only when it is written out.
      await dropMirror(options.mirrorDir, remote.session.url.href, options.signal);
      await emptyAgain(target, true);
      return await cloneFrom(remote, target, { ...options, mirrorDir: undefined });
    });
  } catch (error) {
    await emptyAgain(target, existed);
    if (systemErrorCode(error) === 'ENOSPC')
      throw new KilnError('disk-full', 'The disk is full: the repository could not be written', {
        cause: error,
      });
    throw error;
  }
}

async function cloneFrom(remote: Remote, target: string, options: CloneOptions): Promise<CloneResult> {
  const { session } = remote;
  const resolved = await resolveAt(remote, options.ref);
  const wanted: FetchTarget = {
    kind: resolved?.kind ?? 'abbreviated',
    name: resolved?.name ?? options.ref ?? '',
    sha: resolved?.sha,
    depth: Math.max(0, Math.floor(options.depth ?? 1)),
  };
  await runLocalGit(['init', '--quiet', '--template=', '--', target], { cwd: '/', signal: options.signal });
  const sha =
    options.mirrorDir === undefined
      ? await fetchTarget(remote, join(target, '.git'), wanted)
      : await withMirror(options.mirrorDir, remote, wanted, target);
  await checkOut(target, sha, wanted, session.url.href, options.signal);
  await dropFetchRefs(target, options.signal);
  const warnings: string[] = [];
  const checkouts = [target];
  if (options.submodules === true) {
    const inner = await cloneSubmodules(session.url, target, options, async (url, folder, commit, access) => {
      const own = { submodules: false, contentOnly: false, subdirectory: undefined };
      return await cloneRepository(url, folder, { ...options, ...access, ...own, ref: commit });
    });
    checkouts.push(...inner.folders);
    warnings.push(...inner.warnings);
  }
  warnings.push(...(await findLfsPointers(target, options.signal)));
  const commit = await readCommit(target, sha, options.signal);
  const tree = (
    await runLocalGit(['rev-parse', '--verify', '--end-of-options', `${sha}^{tree}`], { cwd: target })
  ).stdout.trim();
  const root = await resolveSubdirectory(target, options.subdirectory);
  if (options.contentOnly === true) {
    for (const checkout of checkouts) await rm(join(checkout, '.git'), { recursive: true, force: true });
  }
  return {
    directory: target,
    root,
    url: session.url.href,
    commit,
    ...(wanted.kind === 'branch' ? { branch: wanted.name } : {}),
    ...(wanted.kind === 'tag' ? { tag: wanted.name } : {}),
    tree,
    warnings,
  };
}

async function checkOut(
  target: string,
  sha: string,
  wanted: FetchTarget,
  url: string,
  signal?: AbortSignal,
): Promise<void> {
  const run = async (...args: string[]): Promise<unknown> => await runLocalGit(args, { cwd: target, signal });
  await run('config', 'remote.origin.url', url);
  await run('config', 'remote.origin.fetch', '+refs/heads/*:refs/remotes/origin/*');
  if (wanted.kind === 'branch') {
    await run('update-ref', `refs/remotes/origin/${wanted.name}`, sha);
    await run('checkout', '--quiet', '--force', '-B', wanted.name, sha, '--');
  } else {
    if (wanted.kind === 'tag') await run('update-ref', `refs/tags/${wanted.name}`, sha);
    await run('checkout', '--quiet', '--force', '--detach', sha, '--');
  }
}

/** The refs that held what was fetched until HEAD did. */
async function dropFetchRefs(target: string, signal?: AbortSignal): Promise<void> {
  const { stdout } = await runLocalGit(['for-each-ref', '--format=delete %(refname)', 'refs/kiln/'], {
    cwd: target,
    signal,
  });
  if (stdout !== '') await runLocalGit(['update-ref', '--stdin'], { cwd: target, signal, stdin: stdout });
}

/** @returns whether the folder exists. @throws KilnError conflict */
async function requireEmpty(target: string): Promise<boolean> {
  try {
    if ((await readdir(target)).length === 0) return true;
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOENT') {
      await mkdir(target, { recursive: true });
      return false;
    }
    if (code !== 'ENOTDIR') throw error;
  }
  throw new KilnError('conflict', 'The folder to clone into is not empty', {
    where: target,
    hint: 'Give a folder that does not exist yet, or an empty one.',
  });
}

async function emptyAgain(target: string, existed: boolean): Promise<void> {
  if (!existed) return await rm(target, { recursive: true, force: true });
  for (const name of await readdir(target).catch(() => []))
    await rm(join(target, name), { recursive: true, force: true });
}
