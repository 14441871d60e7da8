/** The SHA-256 of a NAR, held as `sha256:<nix32>` as in fingerprints and narinfo. */
import type { NarHash } from '../base/brand.ts';
import { type Hash, formatBase16, formatNix32, formatSri, parseHash } from './hash.ts';

/** Reads any spelling of a SHA-256, with or without `sha256:`. @throws KilnError invalid-input */
export function parseNarHash(text: string): NarHash {
  return formatNix32(parseHash(text, 'sha256')) as NarHash;
}

/** @param digest the 32 bytes of a SHA-256 */
export function narHashFromBytes(digest: Uint8Array): NarHash {
  return formatNix32({ algorithm: 'sha256', bytes: digest }) as NarHash;
}

/** `sha256:<64 hex>`, the spelling of Nix's database. */
export function narHashToBase16(hash: NarHash): string {
  return formatBase16(toHash(hash));
}

/** `sha256-<base64>`. */
export function narHashToSri(hash: NarHash): string {
  return formatSri(toHash(hash));
}

function toHash(hash: NarHash): Hash {
  return parseHash(hash, 'sha256');
}
