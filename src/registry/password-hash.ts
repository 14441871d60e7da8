/** Passwords of people as salted scrypt hashes (RFC 7914): `scrypt:N:r:p:SALT:HASH`, the last two in base64url. */
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import type { Secret } from '../base/secret.ts';

const COST = { N: 2 ** 15, r: 8, p: 1 };
const HASH_BYTES = 32;
/** What one check may cost at most: 64 MiB for a moment. A file with higher numbers is refused. */
const MAX_MEMORY = 64 * 2 ** 20;

export async function hashPassword(password: Secret): Promise<string> {
  const salt = randomBytes(16);
  const hash = await derive(password, salt, COST);
  return ['scrypt', COST.N, COST.r, COST.p, salt.toString('base64url'), hash.toString('base64url')].join(':');
}

export function isPasswordHash(text: string): boolean {
  return parse(text) !== undefined;
}

/** False for a wrong password and for a hash that is none. */
export async function verifyPassword(password: Secret, text: string): Promise<boolean> {
  const known = parse(text);
  if (known === undefined) return false;
  const hash = await derive(password, known.salt, known.cost);
  return timingSafeEqual(hash, known.hash);
}

interface ParsedHash {
  readonly cost: typeof COST;
  readonly salt: Buffer;
  readonly hash: Buffer;
}

function parse(text: string): ParsedHash | undefined {
  const match = /^scrypt:(\d{1,7}):(\d{1,2}):(\d{1,2}):([\w-]{8,86}):([\w-]{43})$/.exec(text);
  if (match === null) return undefined;
  const [N = 0, r = 0, p = 0] = match.slice(1, 4).map(Number);
  const valid = N > 1 && (N & (N - 1)) === 0 && r > 0 && p > 0 && p <= 4 && 128 * N * r < MAX_MEMORY;
  if (!valid) return undefined;
  return {
    cost: { N, r, p },
    salt: Buffer.from(match[4] ?? '', 'base64url'),
    hash: Buffer.from(match[5] ?? '', 'base64url'),
  };
}

function derive(password: Secret, salt: Buffer, cost: typeof COST): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password.reveal(), salt, HASH_BYTES, { ...cost, maxmem: MAX_MEMORY + 2 ** 20 }, (error, key) =>
      error === null ? resolve(key) : reject(error),
    );
  });
}
