/** Branches and tags of a remote, read without cloning. */
import { KilnError } from '../base/error.ts';
import { closestMatches } from '../base/closest-match.ts';
import { failureReason } from './git-failure.ts';
import { isAbbreviatedCommit, isFullCommit, parseRef } from './git-ref.ts';
import { openGitSession, type GitAccess, type GitSession } from './git-session.ts';
import type { GitUrl } from './git-url.ts';
import { keepsCredentials, redirectTarget } from './follow-redirect.ts';

export interface RemoteRefs {
  /** The branch that HEAD names, without `refs/heads/`. */
  readonly defaultBranch?: string;
  readonly head?: string;
  /** Branch → commit. */
  readonly branches: ReadonlyMap<string, string>;
  /** Tag → commit (annotated tags are followed). */
  readonly tags: ReadonlyMap<string, string>;
}

export interface ResolvedRef {
  readonly kind: 'branch' | 'tag' | 'commit' | 'ref';
  /** Name of the branch or tag, the ref, or the commit. */
  readonly name: string;
  /** The commit. For kind `commit` it is what was asked for: whether it exists shows when it is fetched. */
  readonly sha: string;
}

/** A remote that has answered. Disposing removes what its credentials needed. */
export interface Remote extends AsyncDisposable {
  readonly session: GitSession;
  /** Lists the refs with these full names; all of them without an argument. */
  list(names?: readonly string[]): Promise<ListedRefs>;
}

export interface ListedRefs {
  /** Full ref → object; for annotated tags the commit. */
  readonly refs: ReadonlyMap<string, string>;
  /** What HEAD points to, e.g. `refs/heads/main`. */
  readonly headRef?: string;
}

const LIST_TIMEOUT_MS = 90_000;
const MAX_REDIRECTS = 3;

/**
 * Makes the first contact, asking for what resolves `ref` (default HEAD), following at most three redirects; each target is checked as a fresh address.
 * @throws KilnError git-url, git-host-refused, git-network, git-host-key, git-credentials, git-not-found
 */
export async function connectRemote(start: GitUrl, access: GitAccess = {}, ref?: string): Promise<Remote> {
  const names =
    ref === undefined || ref === 'HEAD'
      ? ['HEAD']
      : namesFor(ref).flatMap(({ full }) => [full, `${full}^{}`]);
  let url = start;
  let current = access;
  for (let redirects = 0; ; redirects++) {
    const session = await openGitSession(url, current);
    try {
      const first = await listRemote(session, names);
      const remote: Remote = {
        session,
        list: async (wanted) =>
          wanted?.join('\n') === names.join('\n') ? first : await listRemote(session, wanted),
        [Symbol.asyncDispose]: async () => await session[Symbol.asyncDispose](),
      };
      return remote;
    } catch (error) {
      let next: GitUrl | undefined;
      try {
        if (failureReason(error) === 'redirected' && redirects < MAX_REDIRECTS) {
          next = await redirectTarget(session);
        }
      } finally {
        await session[Symbol.asyncDispose]();
      }
      if (next === undefined) throw error;
      if (!keepsCredentials(url, next)) current = { ...current, credentials: {} };
      url = next;
    }
  }
}

/** All branches and tags. @throws as {@link connectRemote} */
export async function listRefs(url: GitUrl, access: GitAccess = {}): Promise<RemoteRefs> {
  await using remote = await connectRemote(url, access);
  const { refs, headRef } = await remote.list();
  const below = (prefix: string): Map<string, string> =>
    new Map(
      [...refs]
        .filter(([ref]) => ref.startsWith(prefix))
        .map(([ref, sha]) => [ref.slice(prefix.length), sha]),
    );
  const head = refs.get('HEAD');
  return {
    ...(headRef?.startsWith('refs/heads/') === true
      ? { defaultBranch: headRef.slice('refs/heads/'.length) }
      : {}),
    ...(head === undefined ? {} : { head }),
    branches: below('refs/heads/'),
    tags: below('refs/tags/'),
  };
}

/**
 * The commit that `ref` (branch, tag, full ref, commit; default HEAD) means now, without cloning.
 * @throws KilnError git-branch when there is none, with the names that come near; else as {@link connectRemote}
 */
export async function resolveRef(
  url: GitUrl,
  ref: string | undefined,
  access: GitAccess = {},
): Promise<ResolvedRef> {
  await using remote = await connectRemote(url, access, ref);
  const resolved = await resolveAt(remote, ref);
  if (resolved !== undefined) return resolved;
  throw new KilnError(
    'git-branch',
    `"${ref ?? ''}" is neither a branch nor a tag, and too short for a commit that is no branch's newest`,
    {
      where: url.href,
      hint: 'Give the whole commit (40 digits).',
    },
  );
}

/** Like {@link resolveRef}; undefined for the beginning of a commit that only a fetch can complete. */
export async function resolveAt(remote: Remote, ref: string | undefined): Promise<ResolvedRef | undefined> {
  if (ref === undefined || ref === 'HEAD') return await resolveHead(remote);
  const name = parseRef(ref);
  const candidates = namesFor(ref);
  if (candidates[0]?.kind === 'commit')
    return { kind: 'commit', name: candidates[0].short, sha: candidates[0].short };
  const { refs } = await remote.list(candidates.flatMap(({ full }) => [full, `${full}^{}`]));
  for (const { kind, full, short } of candidates) {
    const sha = refs.get(full);
    if (sha !== undefined) return { kind, name: short, sha };
  }
  const all = await remote.list();
  const shas = new Set([...all.refs.values()].filter((sha) => sha.startsWith(name)));
  const [only] = shas;
  if (isAbbreviatedCommit(name))
    return shas.size === 1 && only !== undefined ? { kind: 'commit', name: only, sha: only } : undefined;
  throw missingRef(remote.session.url, name, all);
}

async function resolveHead(remote: Remote): Promise<ResolvedRef> {
  const { refs, headRef } = await remote.list(['HEAD']);
  const sha = refs.get('HEAD');
  if (sha !== undefined) {
    if (headRef?.startsWith('refs/heads/') === true)
      return { kind: 'branch', name: headRef.slice('refs/heads/'.length), sha };
    return { kind: 'commit', name: sha, sha };
  }
  const all = await remote.list();
  if (all.refs.size === 0) throw emptyRepository(remote.session.url);
  throw missingRef(remote.session.url, 'HEAD', all);
}

/** The error for a name that the remote does not have. */
function missingRef(url: GitUrl, name: string, all: ListedRefs): KilnError {
  if (all.refs.size === 0) return emptyRepository(url);
  const short = [...all.refs.keys()]
    .filter((ref) => /^refs\/(?:heads|tags)\//.test(ref))
    .map((ref) => ref.replace(/^refs\/(?:heads|tags)\//, ''));
  const similar = closestMatches(name, short, 5);
  const shown = similar.length > 0 ? similar : short.slice(0, 5);
  const message =
    name === 'HEAD'
      ? "The repository's default branch does not exist"
      : `The repository has no branch or tag "${name}"`;
  return new KilnError('git-branch', message, {
    where: url.href,
    hint:
      similar.length > 0 && name !== 'HEAD'
        ? `Did you mean ${quoteList(shown)}?`
        : `It has ${quoteList(shown)}${short.length > shown.length ? ' and more' : ''}.`,
    fields: { reason: 'ref-missing', similar: shown },
  });
}

function emptyRepository(url: GitUrl): KilnError {
  return new KilnError('git-branch', 'The repository is empty: it has no commit yet', {
    where: url.href,
    hint: 'Push a commit to it first.',
    fields: { reason: 'empty' },
  });
}

async function listRemote(session: GitSession, names: readonly string[] = []): Promise<ListedRefs> {
  const { stdout } = await session.remote(
    ['ls-remote', '--symref', '--quiet', '--', session.url.href, ...names],
    { timeoutMs: Math.min(LIST_TIMEOUT_MS, session.access.timeoutMs ?? LIST_TIMEOUT_MS) },
  );
  const refs = new Map<string, string>();
  let headRef: string | undefined;
  const wanted = names.length === 0 ? undefined : new Set(names);
  for (const line of stdout.split('\n')) {
    const [value = '', name = ''] = line.split('\t');
    if (value.startsWith('ref: ')) {
      if (name === 'HEAD') headRef = value.slice('ref: '.length);
    } else if (/^[0-9a-f]{40,64}$/.test(value) && (wanted === undefined || wanted.has(name))) {
      // A tag object comes before the commit that it names, which has ^{} after its name.
      refs.set(name.replace(/\^\{\}$/, ''), value);
    }
  }
  return { refs, ...(headRef === undefined ? {} : { headRef }) };
}

interface Candidate {
  readonly kind: ResolvedRef['kind'];
  readonly full: string;
  readonly short: string;
}

/** What `ref` can be, most likely first: git itself prefers a branch to a tag of the same name. */
function namesFor(ref: string): readonly Candidate[] {
  if (ref === 'HEAD') return [{ kind: 'ref', full: 'HEAD', short: 'HEAD' }];
  const name = parseRef(ref);
  const commit = name.toLowerCase();
  if (isFullCommit(commit)) return [{ kind: 'commit', full: 'HEAD', short: commit }];
  if (name.startsWith('refs/'))
    return [{ kind: kindOf(name), full: name, short: name.replace(/^refs\/(?:heads|tags)\//, '') }];
  return [
    { kind: 'branch', full: `refs/heads/${name}`, short: name },
    { kind: 'tag', full: `refs/tags/${name}`, short: name },
  ];
}

function kindOf(ref: string): ResolvedRef['kind'] {
  if (ref.startsWith('refs/heads/')) return 'branch';
  return ref.startsWith('refs/tags/') ? 'tag' : 'ref';
}

function quoteList(names: readonly string[]): string {
  return names.map((name) => `"${name}"`).join(', ');
}
