/** The `.deb` files of an archive, kept by their SHA-256: `<directory>/<sha256>.deb`. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { KilnError } from '../base/error.ts';
import { formatBytes } from '../base/units.ts';
import { lockFile } from '../process/file-lock.ts';
import type { AptRoot, AptRun } from './apt-root.ts';
import type { ArchiveLocation } from './archive-location.ts';
import type { DebPackage } from './deb-package.ts';

/** Files per download command: bounds the length of its arguments and gives progress. */
const BATCH = 100;

/**
 * Makes sure that every package's file is in `directory` and is what its SHA-256 says; gives SHA-256 → path.
 * Files that are there are checked too, so a damaged one is fetched anew.
 * @throws KilnError dependency-fetch when a file is gone, unreachable or not what was asked for
 */
export async function fetchDebs(
  apt: AptRoot,
  directory: string,
  packages: readonly DebPackage[],
  run: AptRun,
): Promise<Map<string, string>> {
  await mkdir(directory, { recursive: true });
  await using _lock = await lockFile(join(directory, 'fetch.lock'), { signal: run.signal });
  const files = new Map<string, string>();
  const missing = new Map<string, DebPackage>();
  for (const deb of packages) {
    const file = join(directory, `${deb.sha256}.deb`);
    if (files.has(deb.sha256) || missing.has(deb.sha256)) continue;
    if (await isIntact(file, deb)) files.set(deb.sha256, file);
    else missing.set(deb.sha256, deb);
  }
  if (missing.size === 0) return files;
  const wanted = [...missing.values()];
  const bytes = wanted.reduce((sum, deb) => sum + deb.size, 0);
  run.onProgress?.(`downloading ${wanted.length} Debian packages (${formatBytes(bytes)})`);
  for (let start = 0; start < wanted.length; start += BATCH) {
    const batch = wanted.slice(start, start + BATCH);
    for (const [sha256, file] of await fetchBatch(apt, directory, batch, run)) files.set(sha256, file);
    if (wanted.length > BATCH)
      run.onProgress?.(`downloaded ${start + batch.length} of ${wanted.length} packages`);
  }
  return files;
}

/** Asks each known archive in turn for what is still missing. */
async function fetchBatch(
  apt: AptRoot,
  directory: string,
  batch: readonly DebPackage[],
  run: AptRun,
): Promise<[string, string][]> {
  const incoming = await mkdtemp(join(directory, 'incoming-'));
  try {
    const files: [string, string][] = [];
    let missing = batch;
    let errors = '';
    for (const location of apt.locations()) {
      const requests = missing.flatMap((deb) => [
        uriOf(location, deb),
        join(incoming, `${deb.sha256}.deb`),
        `SHA256:${deb.sha256}`,
      ]);
      const result = await apt.run('apt-helper', ['download-file', ...requests], run);
      const failed: DebPackage[] = [];
      for (const deb of missing) {
        const fetched = join(incoming, `${deb.sha256}.deb`);
        const file = join(directory, `${deb.sha256}.deb`);
        if (await isIntact(fetched, deb)) {
          await rename(fetched, file);
          files.push([deb.sha256, file]);
        } else {
          failed.push(deb);
        }
      }
      if (failed.length === 0) return files;
      missing = failed;
      errors ||= result.stderr;
    }
    throw fetchFailure(missing, errors);
  } finally {
    await rm(incoming, { recursive: true, force: true });
  }
}

function uriOf({ main, security }: ArchiveLocation, deb: DebPackage): string {
  const root = deb.suite.endsWith('-security') && security !== undefined ? security : main;
  // `file:` leaves the file where it is; `copy:` brings it here.
  return `${root.replace(/^file:/, 'copy:')}/${deb.filename.split('/').map(encodeURIComponent).join('/')}`;
}

async function isIntact(file: string, deb: DebPackage): Promise<boolean> {
  const size = await stat(file).then(
    (entry) => entry.size,
    () => -1,
  );
  if (size !== deb.size) return false;
  const hash = createHash('sha256');
  await pipeline(createReadStream(file, { highWaterMark: 2 ** 20 }), hash);
  return hash.digest('hex') === deb.sha256;
}

function fetchFailure(failed: readonly DebPackage[], stderr: string): KilnError {
  const names = failed.map((deb) => `${deb.name} ${deb.version} (${deb.architecture})`);
  const shown = names.slice(0, 5).join(', ') + (names.length > 5 ? ` and ${names.length - 5} more` : '');
  const where = stderr
    .trim()
    .split('\n')
    .filter((line) => !line.startsWith('W:'))
    .slice(0, 6)
    .join('\n');
  const fields = { packages: failed.map(({ name, version, sha256 }) => ({ name, version, sha256 })) };
  if (/\b404\b|File not found|No such file/.test(stderr)) {
    return new KilnError('dependency-fetch', `Debian's archive no longer has ${shown}`, {
      where,
      hint:
        'A newer version has replaced it. Write the lock anew with `kiln basis lock`, or set KILN_DEBIAN_ARCHIVE to a ' +
        'dated snapshot of the archive that still has it.',
      fields: { ...fields, gone: true },
    });
  }
  if (/Hash Sum mismatch/i.test(stderr)) {
    return new KilnError('dependency-fetch', `the mirror gave other bytes than expected for ${shown}`, {
      where,
      hint: 'The mirror may be in the middle of an update, or a proxy changes files. Try again, or use another mirror.',
      fields,
    });
  }
  return new KilnError('dependency-fetch', `could not download ${shown}`, {
    where,
    hint: 'Check that this machine reaches its Debian mirror, then try again: what has arrived is kept.',
    fields,
  });
}
