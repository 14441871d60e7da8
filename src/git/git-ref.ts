/** Names of branches and tags, and object identifiers. */
import { KilnError } from '../base/error.ts';

// The C1 controls are valid UTF-8 to git, but nobody means them.
const CONTROL = /\p{Cc}/u;
const FORBIDDEN = /[ ~^:?*[\\]/;

/**
 * Checks a branch, tag or full ref by the rules of `git check-ref-format`, and refuses what could be taken for an option.
 * @returns the name without surrounding white space
 * @throws KilnError git-branch
 */
export function parseRef(text: string): string {
  const ref = text.trim();
  const reason = refProblem(ref);
  if (reason === undefined) return ref;
  const shown = ref.replace(/\p{Cc}/gu, '\ufffd').slice(0, 120);
  throw new KilnError('git-branch', `"${shown}" is not a branch, tag or commit: ${reason}`, {
    hint: 'Give a name as `git branch -a` or `git tag` shows it, or a commit.',
  });
}

/** Why `ref` is no valid name, or undefined. */
export function refProblem(ref: string): string | undefined {
  if (ref === '') return 'it is empty';
  if (ref.length > 255) return 'it is longer than 255 characters';
  if (ref.startsWith('-')) return 'it starts with a dash';
  if (ref === '@') return '"@" alone is not a name';
  if (CONTROL.test(ref)) return 'it holds control characters';
  const forbidden = FORBIDDEN.exec(ref)?.[0];
  if (forbidden !== undefined) return `it holds "${forbidden}"`;
  if (ref.includes('..')) return 'it holds ".."';
  if (ref.includes('@{')) return 'it holds "@{"';
  if (ref.endsWith('.')) return 'it ends with a dot';
  for (const part of ref.split('/')) {
    if (part === '') return 'it starts, ends or doubles a slash';
    if (part.startsWith('.')) return 'a part of it starts with a dot';
    if (part.endsWith('.lock')) return 'a part of it ends with ".lock"';
  }
  return undefined;
}

/** A whole SHA-1 or SHA-256 object identifier, lower case. */
export function isFullCommit(text: string): boolean {
  return /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(text);
}

/** What could be the beginning of an object identifier (at least 7 digits, as git shows them). */
export function isAbbreviatedCommit(text: string): boolean {
  return /^[0-9a-f]{7,63}$/.test(text) && !isFullCommit(text);
}
