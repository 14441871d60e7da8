/** Keeps store paths alive for manifests. The domain's view of Nix's garbage collector roots. */
import type { OciDigest, StorePath } from '../base/brand.ts';

export interface PathHolder {
  /** Roots `paths` under the manifest; again with other paths adds those. @throws KilnError store-path-missing */
  hold(manifest: OciDigest, paths: readonly StorePath[]): Promise<void>;
  release(manifest: OciDigest): Promise<void>;
  /** Manifests with roots, to find those that a crash left over. */
  list(): Promise<readonly OciDigest[]>;
}

/** For catalogs that hold no recipes, such as a plain mirror. */
export const holdsNothing: PathHolder = {
  hold: () => Promise.resolve(),
  release: () => Promise.resolve(),
  list: () => Promise.resolve([]),
};
