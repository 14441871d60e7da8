/** Short-lived signed tokens: what a client may do where, without a look-up per request. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Secret } from '../base/secret.ts';
import type { Permissions, RegistryAction } from './registry-permissions.ts';

/** One `repository:<name>:<actions>` of a token request; `*` is the catalog. */
export interface Grant {
  readonly repository: string;
  readonly actions: readonly RegistryAction[];
}

interface TokenContent {
  readonly sub: string;
  readonly access: readonly Grant[];
  /** Milliseconds since the Unix epoch. */
  readonly exp: number;
}

export function issueAccessToken(content: TokenContent, key: Secret): string {
  const body = Buffer.from(JSON.stringify(content)).toString('base64url');
  return `${body}.${sign(body, key).toString('base64url')}`;
}

/** What the token permits, or undefined where it is forged, broken or over. */
export function readAccessToken(token: string, key: Secret, now: number): Permissions | undefined {
  const [body = '', signature = '', ...rest] = token.split('.');
  const expected = sign(body, key);
  const given = Buffer.from(signature, 'base64url');
  if (rest.length > 0 || given.length !== expected.length || !timingSafeEqual(given, expected))
    return undefined;
  // The signature says that issueAccessToken wrote it.
  const content = JSON.parse(Buffer.from(body, 'base64url').toString('utf8')) as TokenContent;
  if (content.exp <= now) return undefined;
  return {
    ...(content.sub === '' ? {} : { name: content.sub }),
    allows: (repository, action) =>
      content.access.some((grant) => grant.repository === repository && grant.actions.includes(action)),
  };
}

/** Reads `repository:name:pull,push`; `*` means all actions. Undefined for other kinds of scope. */
export function parseScope(scope: string): Grant | undefined {
  const match = /^repository(?:\([a-z]+\))?:([a-z0-9._/-]{1,255}):([a-z*,]{1,64})$/.exec(scope);
  if (scope === 'registry:catalog:*') return { repository: '*', actions: ['pull'] };
  if (match === null) return undefined;
  const wanted = (match[2] ?? '').split(',');
  const all: readonly RegistryAction[] = ['pull', 'push', 'delete'];
  return {
    repository: match[1] ?? '',
    actions: all.filter((action) => wanted.includes('*') || wanted.includes(action)),
  };
}

function sign(body: string, key: Secret): Buffer {
  return createHmac('sha256', key.reveal()).update(`kiln-registry-token\n${body}`).digest();
}
