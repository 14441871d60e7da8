/** A closure: store paths with what Nix's database knows of each. */
import type { NarHash, StorePath } from '../base/brand.ts';

/** One row of Nix's database. */
export interface PathInfo {
  readonly path: StorePath;
  readonly narHash: NarHash;
  /** Bytes of the NAR. */
  readonly narSize: number;
  /** Full store paths, sorted by bytes, including the path itself where it refers to itself. */
  readonly references: readonly StorePath[];
  readonly deriver?: StorePath;
  /** Content address, for paths that need no signature. */
  readonly ca?: string;
  /** `name:base64` each. */
  readonly signatures: readonly string[];
  /** Seconds since the Unix epoch. */
  readonly registrationTime: number;
  readonly ultimate: boolean;
}

/** The paths of a closure, sorted by path. */
export interface Closure {
  readonly roots: readonly StorePath[];
  readonly paths: readonly PathInfo[];
}

export function closureSize(closure: Closure): number {
  return closure.paths.reduce((sum, info) => sum + info.narSize, 0);
}
