/** Names the disk that is full: the error itself knows at most a file. */
import { statfs } from 'node:fs/promises';
import { describeFailure, KilnError } from '../base/error.ts';
import { formatBytes } from '../base/units.ts';

/** Less than this counts as full: Nix and the database need some room to work at all. */
const NEARLY_FULL_BYTES = 64 * 2 ** 20;

/** @returns `error`, or for a full disk a KilnError that tells which of `folders` lie on it */
export async function nameFullDisk(error: unknown, folders: readonly string[]): Promise<unknown> {
  const failure = describeFailure(error);
  if (failure.code !== 'disk-full') return error;
  const full: string[] = [];
  for (const folder of new Set(folders)) {
    const disk = await statfs(folder).catch(() => undefined);
    if (disk === undefined) continue;
    const [free, size] = [disk.bavail * disk.bsize, disk.blocks * disk.bsize];
    if (free < NEARLY_FULL_BYTES) full.push(`${folder}: ${formatBytes(free)} of ${formatBytes(size)} free`);
  }
  return new KilnError('disk-full', failure.message, {
    where: [...full, failure.where].filter((line) => line !== undefined).join('\n'),
    ...(failure.hint === undefined ? {} : { hint: failure.hint }),
    cause: error,
  });
}
