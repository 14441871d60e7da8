/** Content digests of the OCI image specification (descriptor.md, "Digests"): `sha256:<64 hex>` and `sha512:<128 hex>`. */
import { createHash, type Hash } from 'node:crypto';
import type { OciDigest } from '../base/brand.ts';
import { KilnError } from '../base/error.ts';

export type DigestAlgorithm = 'sha256' | 'sha512';

const PATTERN = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;

export function isDigest(text: string): text is OciDigest {
  return PATTERN.test(text);
}

/** @throws KilnError invalid-input */
export function parseDigest(text: string): OciDigest {
  if (isDigest(text)) return text;
  throw new KilnError('invalid-input', `"${clip(text)}" is not a digest`, {
    hint: 'Write sha256: and 64 lowercase hexadecimal digits, or sha512: and 128.',
  });
}

export function digestAlgorithm(digest: OciDigest): DigestAlgorithm {
  return digest.startsWith('sha512:') ? 'sha512' : 'sha256';
}

export function digestHex(digest: OciDigest): string {
  return digest.slice(digest.indexOf(':') + 1);
}

/** Digest of bytes in memory; a string counts as its UTF-8 bytes. */
export function digestOf(data: Uint8Array | string, algorithm: DigestAlgorithm = 'sha256'): OciDigest {
  return finishDigest(createHash(algorithm).update(data), algorithm);
}

/** The digest of everything that went into `hash`; the hash can take no more after this. */
export function finishDigest(hash: Hash, algorithm: DigestAlgorithm = 'sha256'): OciDigest {
  return parseDigest(`${algorithm}:${hash.digest('hex')}`);
}

function clip(text: string): string {
  return text.length > 160 ? `${text.slice(0, 160)}…` : text;
}
