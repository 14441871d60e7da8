/** Limits and shapes shared by the reader and the writer of NARs (Nix's `archive.cc`). */
import { KilnError } from '../base/error.ts';

export const NAR_MAGIC = 'nix-archive-1';
/** Nesting of directories. */
export const MAX_DEPTH = 64;
/** Bytes of a directory entry's name. */
export const MAX_NAME = 255;
/** Bytes of a symbolic link's target. */
export const MAX_TARGET = 4095;
/** Bytes of any other string of the format. */
export const MAX_TAG = 32;

/** Zero bytes after a string of `length` bytes. */
export function paddingOf(length: number): number {
  return (8 - (length % 8)) % 8;
}

/** Why these bytes cannot be the name of a directory entry, or `undefined`. */
export function entryNameFault(name: Uint8Array): string | undefined {
  if (name.length === 0) return 'an entry has an empty name';
  if (name.length > MAX_NAME) return `a name is longer than ${MAX_NAME} bytes`;
  if (name.includes(0)) return 'a name holds a NUL byte';
  if (name.includes(0x2f)) return 'a name holds a slash';
  if (name[0] === 0x2e && (name.length === 1 || (name.length === 2 && name[1] === 0x2e))) {
    return `a name is \`${'.'.repeat(name.length)}\``;
  }
  return undefined;
}

/** Why these bytes cannot be the target of a symbolic link, or `undefined`. */
export function linkTargetFault(target: Uint8Array): string | undefined {
  if (target.length === 0) return 'a symbolic link has no target';
  if (target.length > MAX_TARGET) return `a link target is longer than ${MAX_TARGET} bytes`;
  if (target.includes(0)) return 'a link target holds a NUL byte';
  return undefined;
}

/** @param offset bytes of the archive before the fault */
export function badNar(reason: string, offset: number): KilnError {
  return new KilnError('invalid-input', `This is not a valid NAR: ${reason}`, {
    where: `byte ${offset} of the archive`,
    fields: { offset },
  });
}
