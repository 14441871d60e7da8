/** `lstat` for paths that may not exist. */
import { lstatSync, type PathLike, type Stats } from 'node:fs';
import { systemErrorCode } from '../base/error.ts';

/** Undefined also where a parent is a file. Synchronous: a few microseconds. */
export function lstatIfThere(path: PathLike): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (systemErrorCode(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}
