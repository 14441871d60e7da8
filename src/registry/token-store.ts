/** Tokens of the registry and the API: random, shown once, kept as hashes. */
import { createHash, randomBytes } from 'node:crypto';
import { KilnError } from '../base/error.ts';
import { Secret } from '../base/secret.ts';
import type { Queryable } from '../db/database.ts';
import { type AccessScope, parseAccessScope } from './access-scope.ts';

export interface RegistryToken {
  readonly name: string;
  /** As they were written. */
  readonly scopes: readonly string[];
  readonly createdAt: Date;
  readonly expiresAt?: Date;
  /** To the hour. */
  readonly lastUsedAt?: Date;
}

export interface NewToken {
  readonly name: string;
  readonly scopes: readonly string[];
  /** Milliseconds from now; without it the token is good until it is revoked. */
  readonly ttlMs?: number;
}

type TokenRow = {
  name: string;
  scopes: string[];
  created_at: Date;
  expires_at: Date | null;
  last_used_at: Date | null;
};

const PREFIX = 'kiln_';

/** @throws KilnError invalid-name, invalid-input for a scope, conflict for a name that is taken */
export async function createToken(db: Queryable, token: NewToken): Promise<Secret> {
  if (!/^[A-Za-z0-9][\w.-]{0,63}$/.test(token.name)) {
    throw new KilnError('invalid-name', `"${token.name.slice(0, 80)}" cannot be the name of a token`, {
      hint: 'Use up to 64 letters, digits, ".", "_" and "-".',
    });
  }
  if (token.scopes.length === 0)
    throw new KilnError('invalid-input', 'A token needs a scope', {
      hint: 'For example --scope "team/*:pull,push", or --scope api for everything.',
    });
  for (const scope of token.scopes) parseAccessScope(scope);
  const secret = new Secret(PREFIX + randomBytes(32).toString('base64url'));
  const rows = await db.query(
    `insert into registry_tokens (name, hash, scopes, expires_at)
     values ($1, $2, $3, now() + make_interval(secs => $4::float8)) on conflict (name) do nothing returning name`,
    [token.name, hashOf(secret), token.scopes, token.ttlMs === undefined ? null : token.ttlMs / 1000],
  );
  if (rows.length > 0) return secret;
  throw new KilnError('conflict', `There is a token ${token.name} already`, {
    hint: 'Revoke it first (kiln token revoke NAME), or take another name.',
  });
}

/** What the token permits; undefined for an unknown or expired one. */
export async function findToken(
  db: Queryable,
  secret: Secret,
): Promise<{ readonly name: string; readonly scopes: readonly AccessScope[] } | undefined> {
  if (!secret.reveal().startsWith(PREFIX)) return undefined;
  const [row] = await db.query<TokenRow>(
    'select name, scopes, created_at, expires_at, last_used_at from registry_tokens where hash = $1 and (expires_at is null or expires_at > now())',
    [hashOf(secret)],
  );
  if (row === undefined) return undefined;
  await db.query(
    `update registry_tokens set last_used_at = now()
      where name = $1 and (last_used_at is null or last_used_at < now() - interval '1 hour')`,
    [row.name],
  );
  return { name: row.name, scopes: row.scopes.map(parseAccessScope) };
}

export async function listTokens(db: Queryable): Promise<RegistryToken[]> {
  const rows = await db.query<TokenRow>(
    'select name, scopes, created_at, expires_at, last_used_at from registry_tokens order by name',
  );
  return rows.map((row) => ({
    name: row.name,
    scopes: row.scopes,
    createdAt: row.created_at,
    ...(row.expires_at === null ? {} : { expiresAt: row.expires_at }),
    ...(row.last_used_at === null ? {} : { lastUsedAt: row.last_used_at }),
  }));
}

/** Access tokens that were made from it end within minutes. @throws KilnError not-found */
export async function revokeToken(db: Queryable, name: string): Promise<void> {
  const gone = await db.query('delete from registry_tokens where name = $1 returning name', [name]);
  if (gone.length === 0) throw new KilnError('not-found', `There is no token ${name.slice(0, 80)}`);
}

function hashOf(secret: Secret): Buffer {
  return createHash('sha256').update(secret.reveal()).digest();
}
