/** Deletes store paths that nothing needs and that have been here for a while. */
import type { StorePath } from '../base/brand.ts';
import { deadPaths, deletePaths, type Collected } from '../nix/collect-garbage.ts';
import type { PathInfo } from '../store/closure.ts';
import type { Kiln } from './open-kiln.ts';

/** Paths per command, below the limit of an argument list. */
const BATCH = 500;

/**
 * What no root reaches, arrived longer ago than `days`, and is not needed by a younger path. Nix does not note when a
 * path was last used, only when it came.
 */
export async function deleteOldPaths(kiln: Kiln, days: number): Promise<Collected> {
  const [nix, store] = await Promise.all([kiln.nix(), kiln.store()]);
  const before = kiln.clock.now() / 1000 - days * 86_400;
  const dead = await deadPaths(nix, kiln.signal);
  const infos = (await Promise.all(dead.map((path) => store.pathInfo(path)))).filter(
    (info) => info !== undefined,
  );
  const order = deletable(infos, (info) => info.registrationTime < before);
  const deleted: StorePath[] = [];
  let freedBytes = 0;
  for (let start = 0; start < order.length; start += BATCH) {
    const collected = await deletePaths(nix, order.slice(start, start + BATCH), { signal: kiln.signal });
    deleted.push(...collected.deleted);
    freedBytes += collected.freedBytes;
  }
  return { deleted, freedBytes };
}

/**
 * The old ones that no young one needs, directly or through others; a path comes before those that it refers to, so that
 * each can go when its turn comes.
 */
export function deletable(dead: readonly PathInfo[], isOld: (info: PathInfo) => boolean): StorePath[] {
  const byPath = new Map(dead.map((info) => [info.path, info]));
  const needed = new Set<StorePath>();
  const open = dead.filter((info) => !isOld(info));
  for (let info = open.pop(); info !== undefined; info = open.pop()) {
    for (const reference of info.references) {
      const next = byPath.get(reference);
      if (next === undefined || needed.has(reference)) continue;
      needed.add(reference);
      open.push(next);
    }
  }
  const order: StorePath[] = [];
  const seen = new Set<StorePath>();
  const visit = (root: PathInfo): void => {
    const stack: { readonly info: PathInfo; next: number }[] = [{ info: root, next: 0 }];
    seen.add(root.path);
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const reference = top.info.references[top.next++];
      if (reference === undefined) {
        order.push(top.info.path);
        stack.pop();
        continue;
      }
      const info = byPath.get(reference);
      if (info === undefined || seen.has(reference)) continue;
      seen.add(reference);
      stack.push({ info, next: 0 });
    }
  };
  for (const info of dead) if (!seen.has(info.path)) visit(info);
  return order.reverse().filter((path) => {
    const info = byPath.get(path);
    return info !== undefined && isOld(info) && !needed.has(path);
  });
}
