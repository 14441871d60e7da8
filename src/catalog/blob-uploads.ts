/** Uploads under way: who sends to which repository, how many at once, and until when. */
import { randomUUID } from 'node:crypto';
import type { RepositoryName } from '../base/brand.ts';
import { KilnError } from '../base/error.ts';
import type { BlobStore } from '../blobs/blob-store.ts';
import type { Database } from '../db/database.ts';
import type { DigestAlgorithm } from '../oci/digest.ts';
import { lockRepository } from './catalog-locks.ts';
import { ociError } from './oci-error.ts';

export interface UploadLimits {
  /** Open uploads of one repository. */
  readonly perRepository: number;
  readonly total: number;
  /** Milliseconds without a byte after which an upload is removed. */
  readonly ttlMs: number;
}

export const DEFAULT_UPLOAD_LIMITS: UploadLimits = { perRepository: 500, total: 5000, ttlMs: 6 * 3_600_000 };

export interface BlobUpload {
  readonly id: string;
  readonly algorithm: DigestAlgorithm;
}

/** Opens an upload. Over the limit, expired ones are removed first; then it is `rate-limited`. */
export async function startUpload(
  db: Database,
  blobs: BlobStore,
  repository: RepositoryName,
  algorithm: DigestAlgorithm,
  limits: UploadLimits,
): Promise<BlobUpload> {
  if (await isFull(db, repository, limits)) {
    await expireUploads(db, blobs, limits.ttlMs);
    if (await isFull(db, repository, limits)) throw tooManyUploads(repository, limits);
  }
  const id = randomUUID();
  await blobs.startUpload(id);
  try {
    await db.transaction(async (tx) => {
      const repositoryId = await lockRepository(tx, repository);
      await tx.query('insert into blob_uploads (id, repository_id, algorithm) values ($1, $2, $3)', [
        id,
        repositoryId,
        algorithm,
      ]);
    });
  } catch (error) {
    await blobs.cancelUpload(id);
    throw error;
  }
  return { id, algorithm };
}

/** The upload, if it belongs to `repository`; marks it as in use. @throws KilnError BLOB_UPLOAD_UNKNOWN */
export async function requireUpload(
  db: Database,
  repository: RepositoryName,
  id: string,
): Promise<BlobUpload> {
  const [row] = /^[0-9a-f-]{36}$/.test(id)
    ? await db.query<{ id: string; algorithm: DigestAlgorithm }>(
        `update blob_uploads u set touched_at = now() from repositories r
          where r.id = u.repository_id and r.name = $1 and u.id::text = $2 returning u.id, u.algorithm`,
        [repository, id],
      )
    : [];
  if (row !== undefined) return { id: row.id, algorithm: row.algorithm };
  throw ociError('BLOB_UPLOAD_UNKNOWN', `${repository} has no upload ${id.slice(0, 80)}`, {
    hint: 'It was finished, cancelled, or removed because nothing was sent for too long. Start a new one.',
  });
}

export async function cancelUpload(db: Database, blobs: BlobStore, id: string): Promise<void> {
  await blobs.cancelUpload(id);
  await db.query('delete from blob_uploads where id = $1', [id]);
}

/** Removes uploads idle for longer than `ttlMs`, and files whose row is gone. Returns how many. */
export async function expireUploads(db: Database, blobs: BlobStore, ttlMs: number): Promise<number> {
  const before = Date.now() - ttlMs;
  let removed = 0;
  const expired = await db.query<{ id: string }>(
    'select id from blob_uploads where touched_at < now() - make_interval(secs => $1::float8)',
    [ttlMs / 1000],
  );
  const idle = new Set(expired.map((row) => row.id));
  const known = await db.query<{ id: string }>('select id from blob_uploads');
  const rows = new Set(known.map((row) => row.id));
  for await (const file of blobs.listUploads()) {
    if (file.changedAt >= before) idle.delete(file.id); // bytes still come in
    else if (!rows.has(file.id)) idle.add(file.id);
  }
  for (const id of idle) {
    await cancelUpload(db, blobs, id);
    removed++;
  }
  return removed;
}

async function isFull(db: Database, repository: RepositoryName, limits: UploadLimits): Promise<boolean> {
  const [row] = await db.query<{ own: number; total: number }>(
    `select count(*)::int as total, (count(*) filter (where r.name = $1))::int as own
       from blob_uploads u join repositories r on r.id = u.repository_id`,
    [repository],
  );
  return row !== undefined && (row.total >= limits.total || row.own >= limits.perRepository);
}

function tooManyUploads(repository: RepositoryName, limits: UploadLimits): KilnError {
  return ociError('TOOMANYREQUESTS', `Too many uploads are open in ${repository}`, {
    hint: `At most ${limits.perRepository} per repository and ${limits.total} in all; finish or cancel some, then try again.`,
    fields: { retryAfter: 60 },
  });
}
