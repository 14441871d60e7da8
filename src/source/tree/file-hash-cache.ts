/** Remembers the hash of files that have not changed, so that a second look at a folder reads no file. */
import { createHash } from 'node:crypto';
import { createReadStream, type BigIntStats } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { replaceFile } from '../../blobs/replace-file.ts';

const cacheSchema = z.record(z.string(), z.tuple([z.string(), z.string()]));

/** A file changed this shortly before it was hashed could change again within one tick of the file system's clock. */
const UNSETTLED_NS = 2_000_000_000n;

export interface FileHashCache {
  hash(file: string, name: string, stat: BigIntStats, signal?: AbortSignal): Promise<string>;
  save(): Promise<void>;
}

/** The cache of one folder, kept in `cacheFolder`. A cache that cannot be read is empty; one that cannot be written is dropped. */
export async function openFileHashCache(cacheFolder: string, directory: string): Promise<FileHashCache> {
  const file = path.join(
    cacheFolder,
    `${createHash('sha256').update(directory).digest('hex').slice(0, 32)}.json`,
  );
  const known = await load(file);
  const next: Record<string, [string, string]> = {};
  let changed = false;
  return {
    async hash(source, name, stat, signal) {
      const mark = `${stat.size}:${stat.mtimeNs}:${stat.ctimeNs}:${stat.ino}`;
      const hit = known[name];
      if (hit?.[0] === mark) {
        next[name] = hit;
        return hit[1];
      }
      changed = true;
      const sha256 = await hashFile(source, signal);
      const now = BigInt(Date.now()) * 1_000_000n;
      if (stat.ctimeNs < now - UNSETTLED_NS && stat.mtimeNs < now - UNSETTLED_NS) next[name] = [mark, sha256];
      return sha256;
    },
    async save() {
      if (!changed && Object.keys(known).length === Object.keys(next).length) return;
      // Without it the next look reads the files again.
      await replaceFile(file, JSON.stringify(next)).catch(() => undefined);
    },
  };
}

export async function hashFile(file: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash, { signal });
  return hash.digest('hex');
}

async function load(file: string): Promise<Record<string, [string, string]>> {
  try {
    return cacheSchema.parse(JSON.parse(await readFile(file, 'utf8')));
  } catch {
    return {};
  }
}
