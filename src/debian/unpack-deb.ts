/** Takes the files out of a Debian package. */
import { mkdir } from 'node:fs/promises';
import { KilnError } from '../base/error.ts';
import { runChecked } from '../process/run-process.ts';

/** Unpacks the file tree of the `.deb` into `directory` (created if missing); maintainer scripts are never run. */
export async function unpackDeb(
  file: string,
  directory: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<void> {
  await mkdir(directory, { recursive: true });
  await runChecked('dpkg-deb', ['--extract', file, directory], {
    signal: options.signal,
    describe: ({ stderr }) =>
      new KilnError(
        /No space left/.test(stderr) ? 'disk-full' : 'corrupt',
        `the Debian package ${file} could not be unpacked`,
        {
          where: stderr.trim().slice(0, 1000),
        },
      ),
  });
}
