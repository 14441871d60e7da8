/** The static BusyBox out of its Debian package, as the directory `bin/busybox` that the first build starts from. */
import { chmod, copyFile, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { unpackDeb } from '../debian/unpack-deb.ts';

export interface BusyboxTree extends AsyncDisposable {
  /** Directory named `busybox`: the file name is part of a store path's hash. */
  readonly directory: string;
}

export async function extractBusybox(
  deb: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<BusyboxTree> {
  const work = await mkdtemp(join(tmpdir(), 'kiln-busybox-'));
  try {
    await unpackDeb(deb, join(work, 'deb'), options);
    await mkdir(join(work, 'tree', 'bin'), { recursive: true });
    const binary = join(work, 'tree', 'bin', 'busybox');
    await copyFile(join(work, 'deb', 'usr', 'bin', 'busybox'), binary);
    // The only permission that a NAR records.
    await chmod(binary, 0o755);
    await rename(join(work, 'tree'), join(work, 'busybox'));
  } catch (error) {
    await rm(work, { recursive: true, force: true });
    throw error;
  }
  return {
    directory: join(work, 'busybox'),
    [Symbol.asyncDispose]: () => rm(work, { recursive: true, force: true }),
  };
}
