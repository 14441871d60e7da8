/** The local store as a cache: how much builds found in it, and what may go. */
import type { CacheStatistics } from '../api/kiln-api.ts';
import { listBuilds } from '../build/build-queries.ts';
import { cleanUpBuilds, readReuse, type CleanUp } from '../build/build-statistics.ts';
import type { Database } from '../db/database.ts';
import type { GcRoots } from '../nix/gc-roots.ts';
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
  const [nix, store] = await Promise.all([kiln.nix(), kiln.store()]);
  if (options.dryRun) {
    const dead = await deadPaths(nix, kiln.signal);
    const infos = await Promise.all(dead.map((path) => store.pathInfo(path)));
    return { paths: dead.length, freedBytes: infos.reduce((sum, info) => sum + (info?.narSize ?? 0), 0) };
  }
  if (options.olderThanDays !== undefined) await forgetBuilds(kiln, { olderThanDays: options.olderThanDays });
  await releaseLeftRoots(await kiln.db(), await kiln.roots());
  await (await kiln.catalog()).collectGarbage(kiln.signal);
  const collected = await collect(nix, { signal: kiln.signal });
  return { paths: collected.deleted.length, freedBytes: collected.freedBytes };
}

/** Removes old builds with their logs, and the roots that kept their results. @returns the identifiers */
export async function forgetBuilds(kiln: Kiln, cleanUp: CleanUp): Promise<string[]> {
  const ids = await cleanUpBuilds(await kiln.db(), cleanUp);
  if (ids.length === 0) return ids;
  const roots = await kiln.roots();
  const removed = new Set(ids.flatMap((id) => [`build-${id}`, `drv-${id}`]));
  for (const name of (await roots.list()).keys())
    if (removed.has(name) || removed.has(OUTPUT_ROOT.exec(name)?.[1] ?? '')) await roots.release(name);
  return ids;
}

/** Root of a further output; only builds whose identifier Kiln made have several. */
const OUTPUT_ROOT = /^(build-build-[0-9a-z]{15})-[^-]+$/;

/** Derivations are held while their build runs; a process that was killed leaves its roots behind. */
async function releaseLeftRoots(db: Database, roots: GcRoots): Promise<void> {
  const running = new Set((await listBuilds(db, { status: 'building', limit: 1000 })).map(({ id }) => id));
  for (const name of (await roots.list()).keys())
    if (name.startsWith('drv-') && !running.has(name.slice('drv-'.length))) await roots.release(name);
}
