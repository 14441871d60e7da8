/** What a layer is made of. Its tar bytes follow from the recipe and are generated while they are read. */
import type { NarHash, OciDigest, StorePath } from '../base/brand.ts';

/** Rules by which a recipe becomes bytes; a change of any byte is a new profile (field: deterministic layer writer). */
export const TAR_PROFILE = 'nix-oci-tar/1';

/** A whole store path, in the file tree that its NAR describes. */
export interface StoreEntry {
  readonly type: 'store-path';
  readonly path: StorePath;
  readonly narHash: NarHash;
  readonly narSize: number;
  /** Exceptions from the profile's times and modes. The last pattern that matches wins, for each of the two. */
  readonly attributes?: readonly FileAttributes[];
}

/** For the files of a store path that `pattern` matches (see `file-pattern.ts`), by their path inside it; `.` is its root. */
export interface FileAttributes {
  readonly pattern: string;
  /** Seconds since the Unix epoch. */
  readonly mtime?: number;
  /** Permission bits; links keep theirs. */
  readonly mode?: number;
}

/** A file, directory or link that Kiln supplies itself. `path` is absolute and normalised; `mtime` wins over the recipe's. */
export type LiteralEntry =
  | {
      readonly type: 'directory';
      readonly path: string;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
      readonly mtime?: number;
    }
  | {
      readonly type: 'file';
      readonly path: string;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
      readonly contentBase64: string;
      readonly mtime?: number;
    }
  | {
      readonly type: 'symlink';
      readonly path: string;
      readonly target: string;
      readonly mtime?: number;
    };

export interface LayerRecipe {
  readonly profile: typeof TAR_PROFILE;
  /** Modification time of every entry that names no other, in seconds since the Unix epoch. */
  readonly mtime: number;
  /** Sorted by path. */
  readonly entries: readonly (StoreEntry | LiteralEntry)[];
}

/** A layer of an uncompressed image: digest and diff ID are the same value. */
export interface Layer {
  readonly digest: OciDigest;
  /** Bytes of the tar. */
  readonly size: number;
  readonly recipe: LayerRecipe;
}
