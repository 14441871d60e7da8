/** Blobs as files: `<algorithm>/<first two>/<hex>`, uploads and hidden blobs beside them on the same file system. */
import { createReadStream } from 'node:fs';
import { mkdir, open, opendir, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { OciDigest } from '../base/brand.ts';
import { KilnError, systemErrorCode } from '../base/error.ts';
import { digestAlgorithm, digestHex, isDigest } from '../oci/digest.ts';
import type { BlobStore, ReadOptions } from './blob-store.ts';
import { diskError } from './disk-error.ts';
import { UploadFiles } from './upload-files.ts';

const READ_CHUNK = 256 * 1024;

/** Opens (and creates) the store below `directory`. */
export async function createFileBlobStore(directory: string): Promise<BlobStore> {
  const uploadDirectory = join(directory, 'uploads');
  const hiddenDirectory = join(directory, 'hidden');
  await mkdir(uploadDirectory, { recursive: true });
  await mkdir(hiddenDirectory, { recursive: true });
  const uploads = new UploadFiles(uploadDirectory);

  const pathOf = (digest: OciDigest): string => {
    const hex = digestHex(digest);
    return join(directory, digestAlgorithm(digest), hex.slice(0, 2), hex);
  };
  const hiddenPath = (digest: OciDigest): string => join(hiddenDirectory, digest.replace(':', '-'));

  return {
    async size(digest) {
      const found = await stat(pathOf(digest)).catch(missingAsUndefined);
      return found?.size;
    },
    read: (digest, options = {}) => readFileBytes(pathOf(digest), digest, options),

    startUpload: (id) => uploads.start(id),
    uploadSize: (id) => uploads.settledSize(id),
    append: (id, source, options) => uploads.append(id, source, options),
    seal: (id, algorithm) => uploads.seal(id, algorithm),
    place: (upload) =>
      uploads.finish(upload.id, async () => {
        const target = pathOf(upload.digest);
        try {
          await mkdir(dirname(target), { recursive: true });
          await rename(uploads.path(upload.id), target);
          await syncDirectory(dirname(target));
        } catch (error) {
          throw diskError(error, 'to store a blob');
        }
      }),
    cancelUpload: (id) => uploads.cancel(id),
    listUploads: () => uploads.list(),

    async hide(digest) {
      await rename(pathOf(digest), hiddenPath(digest)).catch(missingAsUndefined);
    },
    async restore(digest) {
      await mkdir(dirname(pathOf(digest)), { recursive: true });
      await rename(hiddenPath(digest), pathOf(digest)).catch(missingAsUndefined);
    },
    async purge(digest) {
      await rm(hiddenPath(digest), { force: true });
    },
    async listHidden() {
      const names = await readdir(hiddenDirectory);
      return names.map((name) => name.replace('-', ':')).filter(isDigest);
    },
    listStored: (before) => listStored(directory, before),
  };
}

async function* readFileBytes(path: string, digest: OciDigest, options: ReadOptions): AsyncGenerator<Buffer> {
  const { start = 0, end, signal } = options;
  if (end !== undefined && end <= start) return;
  const handle = await open(path, 'r').catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') {
      throw new KilnError('not-found', `The blob ${digest} is not in the store`, { cause: error });
    }
    throw error;
  });
  const stream = createReadStream('', {
    fd: handle,
    start,
    ...(end === undefined ? {} : { end: end - 1 }),
    highWaterMark: READ_CHUNK,
    ...(signal === undefined ? {} : { signal }),
  });
  try {
    yield* stream as AsyncIterable<Buffer>;
  } finally {
    stream.destroy();
  }
}

async function* listStored(directory: string, before: number): AsyncGenerator<OciDigest> {
  for (const algorithm of ['sha256', 'sha512']) {
    const folders = await readdir(join(directory, algorithm)).catch(() => []);
    for (const folder of folders) {
      for await (const entry of await opendir(join(directory, algorithm, folder))) {
        const digest = `${algorithm}:${entry.name}`;
        const found = await stat(join(directory, algorithm, folder, entry.name)).catch(missingAsUndefined);
        if (found !== undefined && found.ctimeMs < before && isDigest(digest)) yield digest;
      }
    }
  }
}

/** A rename is durable only when its directory is. */
async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function missingAsUndefined(error: unknown): undefined {
  if (systemErrorCode(error) === 'ENOENT') return undefined;
  throw error;
}
