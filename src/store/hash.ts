/** Hashes in every spelling that Nix reads and writes: base16, nix32, base64, SRI, with or without an algorithm. */
import { KilnError } from '../base/error.ts';
import { decodeNix32, encodeNix32, nix32Length } from './nix32.ts';

const BYTES = { md5: 16, sha1: 20, sha256: 32, sha512: 64 } as const;

export type HashAlgorithm = keyof typeof BYTES;

export interface Hash {
  readonly algorithm: HashAlgorithm;
  readonly bytes: Uint8Array;
}

/**
 * Reads `sha256:<base16|nix32|base64>`, `sha256-<base64>` (SRI), or a bare digest of `algorithm`.
 * @throws KilnError invalid-input
 */
export function parseHash(text: string, algorithm?: HashAlgorithm): Hash {
  const match = /^(md5|sha1|sha256|sha512)([:-])/.exec(text);
  const stated = match === null ? undefined : (match[1] as HashAlgorithm);
  if (stated !== undefined && algorithm !== undefined && stated !== algorithm) {
    throw invalid(text, `a ${algorithm} hash is needed`);
  }
  const actual = stated ?? algorithm;
  if (actual === undefined) throw invalid(text, 'it names no algorithm (md5, sha1, sha256, sha512)');
  const digest = match === null ? text : text.slice(match[0].length);
  return { algorithm: actual, bytes: decodeDigest(text, digest, BYTES[actual], match?.[2] === '-') };
}

/** `<algorithm>:<nix32>`. */
export function formatNix32(hash: Hash): string {
  return `${hash.algorithm}:${encodeNix32(hash.bytes)}`;
}

/** `<algorithm>:<hex>`. */
export function formatBase16(hash: Hash): string {
  return `${hash.algorithm}:${Buffer.from(hash.bytes).toString('hex')}`;
}

/** `<algorithm>-<base64>`, the spelling of Nix expressions and of Subresource Integrity. */
export function formatSri(hash: Hash): string {
  return `${hash.algorithm}-${Buffer.from(hash.bytes).toString('base64')}`;
}

function decodeDigest(text: string, digest: string, size: number, sri: boolean): Uint8Array {
  if (!sri && digest.length === size * 2 && /^[0-9a-fA-F]*$/.test(digest)) return Buffer.from(digest, 'hex');
  if (!sri && digest.length === nix32Length(size)) return decodeNix32(digest, size);
  if (/^[A-Za-z0-9+/]+={0,2}$/.test(digest)) {
    const bytes = Buffer.from(digest, 'base64');
    // Re-encoding shows stray bits and wrong padding, which Node's decoder ignores.
    const canonical = bytes.toString('base64');
    const spellings = [canonical, canonical.replace(/=+$/, '')];
    if (bytes.length === size && spellings.includes(digest)) return bytes;
  }
  throw invalid(text, 'its length or its characters fit no encoding');
}

function invalid(text: string, reason: string): KilnError {
  return new KilnError('invalid-input', `${JSON.stringify(text.slice(0, 200))} is not a hash: ${reason}`);
}
