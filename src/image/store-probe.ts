/** Looks for well-known files in the paths of a closure: libc, shells, certificates, time zones. */
import { statSync } from 'node:fs';
import type { StorePath } from '../base/brand.ts';
import type { Closure } from '../store/closure.ts';
import { nameOf } from '../store/store-path.ts';
import { lstatIfThere } from './lstat-if-there.ts';

/**
 * The first path of the closure that has `file`, as the whole name of the file. Names that match an earlier pattern of
 * `preferred` come first, then the order of the names, so that a rebuild with other hashes chooses the same.
 */
export function probeFile(
  closure: Closure,
  file: string,
  physicalRoot: string,
  preferred: readonly RegExp[] = [],
): string | undefined {
  const rank = (name: string): number => {
    const at = preferred.findIndex((pattern) => pattern.test(name));
    return at === -1 ? preferred.length : at;
  };
  const found = closure.paths
    .filter((info) => lstatIfThere(`${physicalRoot}${info.path}/${file}`) !== undefined)
    .map((info) => ({ path: info.path, name: nameOf(info.path) }))
    .sort((a, b) => rank(a.name) - rank(b.name) || compare(a.name, b.name) || compare(a.path, b.path));
  return found[0] === undefined ? undefined : `${found[0].path}/${file}`;
}

/** True for a store path that is itself a file. */
export function isPlainFile(path: StorePath, physicalRoot: string): boolean {
  return statSync(physicalRoot + path, { throwIfNoEntry: false })?.isFile() === true;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
