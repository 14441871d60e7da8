/** Brings one commit from a remote into a repository on this machine. */
import { KilnError, isKilnError } from '../base/error.ts';
import { failureReason } from './git-failure.ts';
import { runLocalGit } from './git-session.ts';
import type { Remote } from './remote-refs.ts';

export interface FetchTarget {
  readonly kind: 'branch' | 'tag' | 'commit' | 'ref' | 'abbreviated';
  /** Branch, tag, ref or (the beginning of) the commit. */
  readonly name: string;
  /** What the remote said the name means; absent for `abbreviated`. */
  readonly sha: string | undefined;
  /** Commits of history; 0 for all. */
  readonly depth: number;
}

/**
 * Fetches into `gitDir`, keeping the commit reachable by a ref below `refs/kiln/`.
 * @returns the commit: for branches and tags the one they name at the time of the fetch
 * @throws KilnError git-branch for a commit that is not there; else by what git said
 */
export async function fetchTarget(remote: Remote, gitDir: string, target: FetchTarget): Promise<string> {
  if (target.kind === 'abbreviated') {
    await fetchEverything(remote, gitDir);
    return await requireCommit(remote, gitDir, target.name);
  }
  const source = sourceRef(target);
  const keep = `refs/kiln/${target.kind}/${target.name.replace(/^refs\//, '')}`;
  try {
    await fetchRefs(remote, gitDir, [`+${source}:${keep}`], target.depth);
  } catch (error) {
    const refused = failureReason(error) === 'commit-missing' || failureReason(error) === 'ref-missing';
    if (target.kind !== 'commit' || !refused) throw error;
    // An old server gives out only what a branch or tag names: fetch those, and look inside.
    await fetchEverything(remote, gitDir);
    return await requireCommit(remote, gitDir, target.name);
  }
  return await requireCommit(remote, gitDir, keep);
}

function sourceRef(target: FetchTarget): string {
  if (target.kind === 'branch') return `refs/heads/${target.name}`;
  return target.kind === 'tag' ? `refs/tags/${target.name}` : target.name;
}

async function fetchEverything(remote: Remote, gitDir: string): Promise<void> {
  await fetchRefs(remote, gitDir, ['+refs/heads/*:refs/kiln/heads/*', '+refs/tags/*:refs/kiln/tags/*'], 0);
}

async function fetchRefs(
  remote: Remote,
  gitDir: string,
  refspecs: readonly string[],
  depth: number,
): Promise<void> {
  const shallow =
    (await runLocalGit(['rev-parse', '--is-shallow-repository'], { cwd: gitDir })).stdout.trim() === 'true';
  const hasCommits = (await runLocalGit(['for-each-ref', '--count=1'], { cwd: gitDir })).stdout !== '';
  // A whole history already here would be cut off by a depth; a shallow one has to be completed explicitly.
  const history =
    depth === 0 ? (shallow ? ['--unshallow'] : []) : hasCommits && !shallow ? [] : [`--depth=${depth}`];
  await remote.session.remote(
    [
      'fetch',
      '--progress',
      '--force',
      '--no-tags',
      '--no-write-fetch-head',
      ...history,
      '--',
      remote.session.url.href,
      ...refspecs,
    ],
    { cwd: gitDir },
  );
}

async function requireCommit(remote: Remote, gitDir: string, name: string): Promise<string> {
  try {
    const { stdout } = await runLocalGit(['rev-parse', '--verify', '--end-of-options', `${name}^{commit}`], {
      cwd: gitDir,
    });
    return stdout.trim();
  } catch (error) {
    if (!isKilnError(error) || error.code === 'cancelled') throw error;
    throw new KilnError('git-branch', `The repository has no commit ${name}`, {
      where: remote.session.url.href,
      hint: 'Check the commit, and that it was pushed. A commit that no branch or tag holds may have been removed by the forge.',
      fields: { reason: 'commit-missing' },
    });
  }
}
