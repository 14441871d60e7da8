/** The local store as a cache: how much builds found in it, and what may go. */
import type { CacheStatistics } from '../api/kiln-api.ts';
import { cleanUpBuilds, readReuse } from '../build/build-statistics.ts';
import type { Kiln } from './open-kiln.ts';

export async function readCacheStatistics(kiln: Kiln): Promise<CacheStatistics> {
  const [statistics, reuse] = await Promise.all([
    (await kiln.store()).statistics(),
    readReuse(await kiln.db()),
  ]);
  const asked = reuse.found + reuse.made;
  return {
    paths: statistics.paths,
    size: statistics.narSize,
    hits: reuse.found,
    misses: reuse.made,
    hitRate: asked === 0 ? 0 : (100 * reuse.found) / asked,
  };
}

/** Forgets old builds when asked to, lets go of roots that nothing stands behind, then collects. */
export async function collectGarbage(
  kiln: Kiln,
  options: { readonly dryRun: boolean; readonly olderThanDays?: number },
): Promise<{ readonly paths: number; readonly freedBytes: number }> {
  const { collectGarbage: collect, deadPaths } = await import('../nix/collect-garbage.ts');
  const [nix, store, roots] = await Promise.all([kiln.nix(), kiln.store(), kiln.roots()]);
  if (options.dryRun) {
    const dead = await deadPaths(nix, kiln.signal);
    const infos = await Promise.all(dead.map((path) => store.pathInfo(path)));
    return { paths: dead.length, freedBytes: infos.reduce((sum, info) => sum + (info?.narSize ?? 0), 0) };
  }
  const db = await kiln.db();
  if (options.olderThanDays !== undefined) {
    for (const id of await cleanUpBuilds(db, { olderThanDays: options.olderThanDays })) {
      for (const name of (await roots.list()).keys())
        if (name === `build-${id}` || name.startsWith(`build-${id}-`)) await roots.release(name);
    }
  }
  await (await kiln.catalog()).collectGarbage(kiln.signal);
  const collected = await collect(nix, { signal: kiln.signal });
  return { paths: collected.deleted.length, freedBytes: collected.freedBytes };
}
