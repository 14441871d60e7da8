/** What a signature of a store path signs. */
import type { NarHash, StorePath } from '../base/brand.ts';

export interface Fingerprinted {
  readonly path: StorePath;
  readonly narHash: NarHash;
  readonly narSize: number;
  readonly references: readonly StorePath[];
}

/** `1;<path>;sha256:<nix32>;<size>;<references>`: full paths, sorted by bytes, each once (Nix's `path-info.cc`). */
export function fingerprintOf(info: Fingerprinted): string {
  const references = [...new Set(info.references)].sort();
  return `1;${info.path};${info.narHash};${info.narSize};${references.join(',')}`;
}
