/** What was uploaded: files by their hash, paths in the database, listings and logs beside the files. */
import { mkdir, readFile, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { OciDigest, StorePath } from '../base/brand.ts';
import { systemErrorCode } from '../base/error.ts';
import type { BlobStore } from '../blobs/blob-store.ts';
import { createFileBlobStore } from '../blobs/file-blob-store.ts';
import { replaceFile } from '../blobs/replace-file.ts';
import type { Database } from '../db/database.ts';
import { parseDigest } from '../oci/digest.ts';
import { baseNameOf } from '../store/store-path.ts';
import {
  findPathOfFile,
  findTrace,
  findUploadedPath,
  saveTrace,
  saveUploadedPath,
  type UploadedPath,
  usedFiles,
} from './uploaded-path-queries.ts';

export interface UploadedPaths {
  readonly files: BlobStore;
  /** Absolute path of a stored file. */
  fileOf(fileHash: string): string;
  /** Makes a file count as new, so that {@link sweep} leaves it alone while its path is being added. */
  touch(fileHash: string): Promise<void>;
  find(hashPart: string): Promise<UploadedPath | undefined>;
  findByFile(fileHash: string): Promise<UploadedPath | undefined>;
  /** Makes a path visible. Its file must be durable, its listing is written first. */
  save(path: UploadedPath, listing: string | undefined, uploadedBy: string): Promise<void>;
  listing(path: UploadedPath): Promise<Buffer | undefined>;
  saveLog(drvPath: StorePath, log: Buffer): Promise<void>;
  log(drvPath: StorePath): Promise<Buffer | undefined>;
  saveTrace(name: string, body: unknown, uploadedBy: string): Promise<void>;
  trace(name: string): Promise<unknown>;
  /** Removes files that no path needs and uploads that nothing was sent to, both older than `graceMs`. @returns files */
  sweep(graceMs: number): Promise<number>;
}

/** About a kilobyte each. */
const MAX_KNOWN = 100_000;

/** @param directory made where it is missing */
export async function openUploadedPaths(db: Database, directory: string): Promise<UploadedPaths> {
  const files = await createFileBlobStore(join(directory, 'files'));
  const folders = { listings: join(directory, 'listings'), logs: join(directory, 'logs') };
  for (const folder of Object.values(folders)) await mkdir(folder, { recursive: true });
  const known = new Map<string, UploadedPath>();
  const remember = (path: UploadedPath): UploadedPath => {
    const [oldest] = known.keys();
    if (known.size >= MAX_KNOWN && oldest !== undefined) known.delete(oldest);
    known.set(path.hashPart, path);
    return path;
  };
  const listingFile = (path: UploadedPath): string =>
    join(folders.listings, `${path.hashPart}-${path.narHash.slice('sha256:'.length)}.ls`);
  const logFile = (drvPath: StorePath): string => join(folders.logs, baseNameOf(drvPath));
  const fileOf = (fileHash: string): string =>
    join(directory, 'files', 'sha256', fileHash.slice(0, 2), fileHash);
  return {
    files,
    fileOf,
    touch: async (fileHash) => await utimes(fileOf(fileHash), new Date(), new Date()),
    async find(hashPart) {
      // The embedded database has no other writer; with PostgreSQL another server may have removed the path.
      const remembered = db.kind === 'embedded' ? known.get(hashPart) : undefined;
      if (remembered !== undefined) return remembered;
      const path = await findUploadedPath(db, hashPart);
      return path === undefined ? undefined : remember(path);
    },
    findByFile: async (fileHash) => await findPathOfFile(db, fileHash),
    async save(path, listing, uploadedBy) {
      if (listing !== undefined) await replaceFile(listingFile(path), listing);
      await saveUploadedPath(db, path, uploadedBy);
      remember(path);
    },
    listing: async (path) => await readFile(listingFile(path)).catch(missingAsUndefined),
    saveLog: async (drvPath, log) => await replaceFile(logFile(drvPath), log),
    log: async (drvPath) => await readFile(logFile(drvPath)).catch(missingAsUndefined),
    saveTrace: async (name, body, uploadedBy) => await saveTrace(db, name, body, uploadedBy),
    trace: async (name) => await findTrace(db, name),
    async sweep(graceMs) {
      const before = Date.now() - graceMs;
      for await (const upload of files.listUploads())
        if (upload.changedAt < before) await files.cancelUpload(upload.id);
      return await sweepFiles(db, files, before);
    },
  };
}

export function digestOfFile(fileHash: string): OciDigest {
  return parseDigest(`sha256:${fileHash}`);
}

const BATCH = 500;

async function sweepFiles(db: Database, files: BlobStore, before: number): Promise<number> {
  let removed = 0;
  let batch: OciDigest[] = [];
  const flush = async (): Promise<void> => {
    const used = await usedFiles(
      db,
      batch.map((digest) => digest.slice('sha256:'.length)),
    );
    for (const digest of batch) {
      if (used.has(digest.slice('sha256:'.length))) continue;
      await files.hide(digest);
      await files.purge(digest);
      removed++;
    }
    batch = [];
  };
  for await (const digest of files.listStored(before)) {
    if (batch.push(digest) === BATCH) await flush();
  }
  await flush();
  return removed;
}

function missingAsUndefined(error: unknown): undefined {
  if (systemErrorCode(error) === 'ENOENT') return undefined;
  throw error;
}
