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
}

/** A file, directory or link that Kiln supplies itself. `path` is absolute and normalised. */
export type LiteralEntry =
  | {
      readonly type: 'directory';
      readonly path: string;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
    }
  | {
      readonly type: 'file';
      readonly path: string;
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
      readonly contentBase64: string;
    }
  | { readonly type: 'symlink'; readonly path: string; readonly target: string };

export interface LayerRecipe {
  readonly profile: typeof TAR_PROFILE;
  /** Modification time of every entry, in seconds since the Unix epoch. */
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
