/** Store paths that follow from their content (Nix's `store-api.cc`): their `CA:` line can be checked without a signature. */
import { createHash } from 'node:crypto';
import type { NarHash, StorePath } from '../base/brand.ts';
import { parseHash } from './hash.ts';
import { encodeNix32 } from './nix32.ts';
import { nameOf, STORE_DIR } from './store-path.ts';

export interface AddressedContent {
  readonly path: StorePath;
  readonly ca: string;
  readonly references: readonly StorePath[];
  /** Verified. */
  readonly narHash: NarHash;
  /** Verified SHA-256 in hexadecimal of the contents, where the path is one plain file. */
  readonly contentsHash?: string;
}

/** True when the path is what its content address makes of the content. Addresses by other hashes than SHA-256 are not known. */
export function isContentAddressed(content: AddressedContent): boolean {
  const match = /^(text|fixed):(r:)?(sha256:[0-9a-z]+)$/.exec(content.ca);
  if (match === null) return false;
  const [, method, recursive, hashText = ''] = match;
  let stated: string;
  try {
    stated = Buffer.from(parseHash(hashText).bytes).toString('hex');
  } catch {
    return false;
  }
  const flat = recursive === undefined;
  const actual = flat ? content.contentsHash : Buffer.from(parseHash(content.narHash).bytes).toString('hex');
  if (stated !== actual) return false;
  return content.path === pathOf(content, method === 'text', flat, stated);
}

function pathOf(content: AddressedContent, text: boolean, flat: boolean, hash: string): string | undefined {
  const name = nameOf(content.path);
  const self = content.references.includes(content.path);
  const others = [...new Set(content.references)].filter((path) => path !== content.path).sort();
  if (text) return self || !flat ? undefined : makePath(['text', ...others].join(':'), hash, name);
  if (!flat) return makePath(['source', ...others, ...(self ? ['self'] : [])].join(':'), hash, name);
  if (self || others.length > 0) return undefined;
  return makePath('output:out', sha256(`fixed:out:sha256:${hash}:`).toString('hex'), name);
}

function makePath(type: string, hash: string, name: string): string {
  const digest = sha256(`${type}:sha256:${hash}:${STORE_DIR}:${name}`);
  const compressed = Buffer.alloc(20);
  for (const [index, byte] of digest.entries()) compressed[index % 20] = (compressed[index % 20] ?? 0) ^ byte;
  return `${STORE_DIR}/${encodeNix32(compressed)}-${name}`;
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
