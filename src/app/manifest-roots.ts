/** Holds the store paths of manifests with Nix's garbage collector roots, as few as keep them all. */
import type { OciDigest, StorePath } from '../base/brand.ts';
import type { PathHolder } from '../catalog/path-holder.ts';
import type { GcRoots } from '../nix/gc-roots.ts';
import type { StoreDatabase } from '../nix/store-database.ts';
import { parseDigest } from '../oci/digest.ts';

const PREFIX = 'manifest-';

export function createManifestRoots(
  roots: () => Promise<GcRoots>,
  store: () => Promise<StoreDatabase>,
): PathHolder {
  const namesOf = async (manifest: OciDigest): Promise<string[]> => {
    const all = await (await roots()).list();
    return [...all.keys()].filter((name) => name.startsWith(`${rootName(manifest)}-`));
  };
  return {
    async hold(manifest, paths) {
      const held = await roots();
      const known = new Set(
        [...(await held.list())]
          .filter(([name]) => name.startsWith(`${rootName(manifest)}-`))
          .map(([, path]) => path),
      );
      const tops = (await topPaths(await store(), paths)).filter((path) => !known.has(path));
      for (const path of tops)
        await held.hold(
          `${rootName(manifest)}-${path.slice('/nix/store/'.length, '/nix/store/'.length + 32)}`,
          path,
        );
    },
    async release(manifest) {
      const held = await roots();
      for (const name of await namesOf(manifest)) await held.release(name);
    },
    async list() {
      const all = await (await roots()).list();
      const names = [...all.keys()].filter((name) => name.startsWith(PREFIX));
      return [...new Set(names.map(digestOfName))];
    },
  };
}

/** Those that no other of `paths` refers to: holding them holds the rest. */
async function topPaths(store: StoreDatabase, paths: readonly StorePath[]): Promise<StorePath[]> {
  const referred = new Set<StorePath>();
  for (const path of paths) {
    const info = await store.pathInfo(path);
    for (const reference of info?.references ?? []) if (reference !== path) referred.add(reference);
  }
  const tops = paths.filter((path) => !referred.has(path));
  // Paths that refer to each other in a ring have no top; then each is held.
  return tops.length === 0 ? [...paths] : tops;
}

/** `:` stands in no file name that Nix's roots may have. */
function rootName(manifest: OciDigest): string {
  return `${PREFIX}${manifest.replace(':', '_')}`;
}

function digestOfName(name: string): OciDigest {
  return parseDigest(
    name
      .slice(PREFIX.length)
      .replace(/-[^-]*$/, '')
      .replace('_', ':'),
  );
}
