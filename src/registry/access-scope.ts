/** Scopes of users and tokens as people write them: `PATTERN:pull,push,delete`, and `api` for everything. */
import { KilnError } from '../base/error.ts';
import type { RegistryAction } from './registry-permissions.ts';

export type AccessScope =
  | { readonly kind: 'api' }
  | { readonly kind: 'repositories'; readonly pattern: string; readonly actions: readonly RegistryAction[] };

const ACTIONS: readonly RegistryAction[] = ['pull', 'push', 'delete'];
const PATTERN = /^(?:[a-z0-9._/*-]{1,255}|@cache)$/;
/** Stands for the binary cache. No pattern covers it: who may push images should not be able to give hosts programs. */
export const CACHE_SCOPE = '@cache';

/** `team/*:pull,push`; `*` stands for any characters, also slashes; `*` alone as action for all. @throws KilnError invalid-input */
export function parseAccessScope(text: string): AccessScope {
  if (text === 'api') return { kind: 'api' };
  const [pattern = '', actionText = '', ...rest] = text.split(':');
  const words = actionText.split(',');
  const actions = words.includes('*') ? ACTIONS : ACTIONS.filter((action) => words.includes(action));
  const unknown = words.find((word) => word !== '*' && !ACTIONS.some((action) => action === word));
  if (rest.length > 0 || !PATTERN.test(pattern) || unknown !== undefined) {
    throw new KilnError('invalid-input', `"${text.slice(0, 100)}" is not a scope`, {
      hint: 'Write it like "team/*:pull,push" (actions pull, push, delete), "@cache:pull,push" for the binary cache, or "api" for everything.',
    });
  }
  return { kind: 'repositories', pattern, actions };
}

/** Whether one of the scopes covers the action; `*` as the repository is the list of all, which only a pattern `*` covers. */
export function scopesAllow(
  scopes: readonly AccessScope[],
  repository: string,
  action: RegistryAction,
): boolean {
  return scopes.some(
    (scope) => scope.kind === 'api' || (scope.actions.includes(action) && covers(scope.pattern, repository)),
  );
}

function covers(pattern: string, repository: string): boolean {
  return repository === CACHE_SCOPE ? pattern === CACHE_SCOPE : matchesPattern(pattern, repository);
}

/** Backtracks over at most one star at a time, so no pattern makes it slow. */
export function matchesPattern(pattern: string, text: string): boolean {
  let [at, from, star, mark] = [0, 0, -1, 0];
  while (from < text.length) {
    if (pattern[at] === '*') {
      star = at++;
      mark = from;
    } else if (pattern[at] === text[from] || pattern[at] === '?') {
      at++;
      from++;
    } else if (star >= 0) {
      at = star + 1;
      from = ++mark;
    } else return false;
  }
  while (pattern[at] === '*') at++;
  return at === pattern.length;
}
