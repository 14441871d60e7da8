/** Questions about the graph of a closure. References of a path to itself are left out of all answers. */
import type { StorePath } from '../base/brand.ts';
import { KilnError } from '../base/error.ts';
import type { Closure, PathInfo } from './closure.ts';

/**
 * Every path after the paths it refers to; among equals by path, so the order is always the same.
 * @throws KilnError corrupt when paths refer to each other in a circle, which no valid store has
 */
export function topologicalOrder(closure: Closure): PathInfo[] {
  const infos = byPath(closure);
  const waitingFor = new Map<StorePath, number>();
  const referrers = referrersIn(closure);
  for (const info of closure.paths) waitingFor.set(info.path, referencesOf(info, infos).length);
  const ready = [...waitingFor]
    .filter(([, count]) => count === 0)
    .map(([path]) => path)
    .sort();
  const order: PathInfo[] = [];
  for (let index = 0; index < ready.length; index++) {
    const path = ready[index] as StorePath;
    order.push(infos.get(path) as PathInfo);
    for (const referrer of referrers.get(path) ?? []) {
      const left = (waitingFor.get(referrer) ?? 0) - 1;
      waitingFor.set(referrer, left);
      if (left === 0) ready.push(referrer);
    }
  }
  if (order.length === infos.size) return order;
  throw new KilnError('corrupt', 'Paths of the closure refer to each other in a circle', {
    where: [...waitingFor]
      .filter(([, count]) => count > 0)
      .map(([path]) => path)
      .slice(0, 10)
      .join('\n'),
  });
}

/** Path → the paths of the closure that refer to it, sorted. */
export function referrersIn(closure: Closure): ReadonlyMap<StorePath, readonly StorePath[]> {
  const infos = byPath(closure);
  const referrers = new Map<StorePath, StorePath[]>([...infos.keys()].map((path) => [path, []]));
  for (const path of [...infos.keys()].sort()) {
    for (const reference of referencesOf(infos.get(path) as PathInfo, infos))
      referrers.get(reference)?.push(path);
  }
  return referrers;
}

/** A shortest chain of references from `from` to `to`, both included; `undefined` when there is none. */
export function whyDepends(closure: Closure, from: StorePath, to: StorePath): StorePath[] | undefined {
  const infos = byPath(closure);
  const cameFrom = new Map<StorePath, StorePath | undefined>([[from, undefined]]);
  const queue = infos.has(from) ? [from] : [];
  for (let index = 0; index < queue.length; index++) {
    const path = queue[index] as StorePath;
    if (path === to) return chain(cameFrom, to);
    for (const reference of referencesOf(infos.get(path) as PathInfo, infos)) {
      if (cameFrom.has(reference)) continue;
      cameFrom.set(reference, path);
      queue.push(reference);
    }
  }
  return undefined;
}

/** The part of a closure that `roots` reach. Roots that it does not hold are left out. */
export function subClosure(closure: Closure, roots: readonly StorePath[]): Closure {
  const infos = byPath(closure);
  const kept = roots.filter((root) => infos.has(root));
  const found = new Set(kept);
  for (const path of found) {
    // A set's iterator also visits what is added on the way.
    for (const reference of referencesOf(infos.get(path) as PathInfo, infos)) found.add(reference);
  }
  return { roots: kept, paths: closure.paths.filter((info) => found.has(info.path)) };
}

/** References outside of the closure: empty for a complete one. */
export function danglingReferences(closure: Closure): StorePath[] {
  const infos = byPath(closure);
  const all = new Set(closure.paths.flatMap((info) => info.references));
  return [...all].filter((path) => !infos.has(path)).sort();
}

function chain(cameFrom: ReadonlyMap<StorePath, StorePath | undefined>, end: StorePath): StorePath[] {
  const path: StorePath[] = [];
  for (let step: StorePath | undefined = end; step !== undefined; step = cameFrom.get(step))
    path.unshift(step);
  return path;
}

function byPath(closure: Closure): ReadonlyMap<StorePath, PathInfo> {
  return new Map(closure.paths.map((info) => [info.path, info]));
}

function referencesOf(info: PathInfo, infos: ReadonlyMap<StorePath, PathInfo>): StorePath[] {
  return [...new Set(info.references)].filter((path) => path !== info.path && infos.has(path));
}
