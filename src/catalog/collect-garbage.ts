/**
 * Removes what nothing needs, while pushes go on. Reference counts are read under the locks that every push takes, and
 * a push has a lease on what it sent or was told exists: nothing younger than the grace period goes.
 */
import type { OciDigest } from '../base/brand.ts';
import type { BlobStore } from '../blobs/blob-store.ts';
import type { Database, Queryable } from '../db/database.ts';
import { expireUploads } from './blob-uploads.ts';
import { lockDigests, type RepositoryId } from './catalog-locks.ts';
import { releaseIfUnused, removeManifest } from './delete-manifest.ts';
import type { PathHolder } from './path-holder.ts';
import { explainRetention, type RetentionPolicy } from './retention.ts';

export interface GarbageOptions {
  /** Milliseconds that a blob without a manifest stays; at least `uploadTtlMs`, so that a slow push ends in time. */
  readonly graceMs: number;
  readonly uploadTtlMs: number;
  readonly retention: RetentionPolicy;
  readonly signal?: AbortSignal;
}

export interface GarbageReport {
  readonly manifests: number;
  readonly blobs: number;
  /** Bytes of files removed; recipes have none. */
  readonly bytes: number;
  readonly uploads: number;
  /** Files and roots that a crash had left over. */
  readonly leftovers: number;
}

export async function collectGarbage(
  db: Database,
  blobs: BlobStore,
  holder: PathHolder,
  options: GarbageOptions,
): Promise<GarbageReport> {
  const uploads = await expireUploads(db, blobs, options.uploadTtlMs);
  let manifests = 0;
  for (const { id } of await db.query<{ id: number }>('select id from repositories order by id')) {
    options.signal?.throwIfAborted();
    manifests += await collectRepository(db, holder, id, options);
  }
  const removed = await collectBlobs(db, blobs, options);
  const leftovers = (await collectFiles(db, blobs, options)) + (await collectHolds(db, holder));
  return { manifests, ...removed, uploads, leftovers };
}

/** Finishes or undoes removals that a crash interrupted. To be called before blobs are served. */
export async function recoverBlobs(db: Database, blobs: BlobStore): Promise<void> {
  for (const digest of await blobs.listHidden()) {
    await db.transaction(async (tx) => {
      await lockDigests(tx, [digest]);
      if (await hasFileRow(tx, digest)) await blobs.restore(digest);
      else await blobs.purge(digest);
    });
  }
}

async function collectRepository(
  db: Database,
  holder: PathHolder,
  repository: RepositoryId,
  options: GarbageOptions,
): Promise<number> {
  const removed = await db.transaction(async (tx) => {
    await tx.query('select id from repositories where id = $1 for update', [repository]);
    const gone: OciDigest[] = [];
    for (const { digest, reasons } of await explainRetention(tx, repository, options.retention, Date.now())) {
      if (reasons.length === 0 && (await removeManifest(tx, repository, digest))) gone.push(digest);
    }
    await tx.query(
      `delete from repository_blobs l where l.repository_id = $1 and l.linked_at < now() - make_interval(secs => $2::float8)
         and not exists (select 1 from manifest_references m where m.repository_id = $1 and m.digest = l.digest)`,
      [repository, options.graceMs / 1000],
    );
    return gone;
  });
  for (const digest of removed) await releaseIfUnused(db, holder, digest);
  return removed.length;
}

async function collectBlobs(
  db: Database,
  blobs: BlobStore,
  options: GarbageOptions,
): Promise<{ blobs: number; bytes: number }> {
  const graceSeconds = options.graceMs / 1000;
  const unused = `last_used_at < now() - make_interval(secs => $1::float8)
    and not exists (select 1 from repository_blobs l where l.digest = blobs.digest)`;
  const candidates = await db.query<{ digest: OciDigest }>(`select digest from blobs where ${unused}`, [
    graceSeconds,
  ]);
  let count = 0;
  let bytes = 0;
  for (const { digest } of candidates) {
    options.signal?.throwIfAborted();
    const gone = await db.transaction(async (tx) => {
      await lockDigests(tx, [digest]);
      const [row] = await tx.query<{ kind: 'file' | 'recipe'; size: number }>(
        `delete from blobs where digest = $2 and ${unused} returning kind, size`,
        [graceSeconds, digest],
      );
      if (row?.kind === 'file') await blobs.hide(digest);
      return row;
    });
    if (gone === undefined) continue;
    count++;
    if (gone.kind === 'recipe') continue;
    bytes += gone.size;
    await purgeHidden(db, blobs, digest);
  }
  return { blobs: count, bytes };
}

/** Files without a row: a crash came between placing the file and committing the row. */
async function collectFiles(db: Database, blobs: BlobStore, options: GarbageOptions): Promise<number> {
  let count = 0;
  for await (const digest of blobs.listStored(Date.now() - options.graceMs)) {
    options.signal?.throwIfAborted();
    if (await hasFileRow(db, digest)) continue;
    const hidden = await db.transaction(async (tx) => {
      await lockDigests(tx, [digest]);
      if (await hasFileRow(tx, digest)) return false;
      await blobs.hide(digest);
      return true;
    });
    if (!hidden) continue;
    await purgeHidden(db, blobs, digest);
    count++;
  }
  return count;
}

async function collectHolds(db: Database, holder: PathHolder): Promise<number> {
  let count = 0;
  for (const digest of await holder.list()) {
    const used = await db.query('select 1 from manifests where digest = $1 limit 1', [digest]);
    if (used.length > 0) continue;
    await releaseIfUnused(db, holder, digest);
    count++;
  }
  return count;
}

/** The same digest may be hidden again by another run, never restored by one: the row is gone. */
async function purgeHidden(db: Database, blobs: BlobStore, digest: OciDigest): Promise<void> {
  await db.transaction(async (tx) => {
    await lockDigests(tx, [digest]);
    await blobs.purge(digest);
  });
}

async function hasFileRow(db: Queryable, digest: OciDigest): Promise<boolean> {
  const rows = await db.query(`select 1 from blobs where digest = $1 and kind = 'file'`, [digest]);
  return rows.length > 0;
}
