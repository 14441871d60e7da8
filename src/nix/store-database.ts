/** What Nix's database knows of its paths: one contract, answered by SQLite or by `nix` commands. */
import type { StorePath } from '../base/brand.ts';
import { KilnError } from '../base/error.ts';
import type { Closure, PathInfo } from '../store/closure.ts';

export interface StoreStatistics {
  readonly paths: number;
  /** Bytes of all NARs; the disk holds less after `nix store optimise`. */
  readonly narSize: number;
  /** Seconds since the Unix epoch; 0 for an empty store. */
  readonly newest: number;
}

/** Each call is one short transaction, so what a long reader holds never keeps Nix from its checkpoints. */
export interface StoreDatabase extends Disposable {
  readonly kind: 'sqlite' | 'command';
  isValid(path: StorePath): Promise<boolean>;
  pathInfo(path: StorePath): Promise<PathInfo | undefined>;
  /** @param hashPart 32 nix32 characters; anything else gives `undefined` */
  pathFromHashPart(hashPart: string): Promise<StorePath | undefined>;
  /**
   * Everything that `roots` refer to, themselves included. Blocks this thread for about 0.03 ms per path.
   * @throws KilnError store-path-missing
   */
  closure(roots: readonly StorePath[]): Promise<Closure>;
  /** Valid paths that refer to `path`, sorted, without itself. */
  referrers(path: StorePath): Promise<StorePath[]>;
  /** Output name → path of a valid derivation; outputs whose path is not known before the build are missing. */
  derivationOutputs(drvPath: StorePath): Promise<ReadonlyMap<string, StorePath>>;
  /** Valid derivations that state `path` as an output. */
  derivers(path: StorePath): Promise<StorePath[]>;
  statistics(): Promise<StoreStatistics>;
  /** Changes whenever another process wrote to the database; a cache of answers is valid while it stays the same. */
  version(): Promise<number>;
}

export function missingPath(path: StorePath): KilnError {
  return new KilnError('store-path-missing', `${path} is not in the store`, {
    hint: 'It may have been garbage-collected; build it again.',
    fields: { path },
  });
}
