/** Which repository may serve which blob, and what the blob's bytes come from. */
import type { OciDigest, RepositoryName } from '../base/brand.ts';
import type { BlobStore, SealedUpload } from '../blobs/blob-store.ts';
import type { Database, Queryable } from '../db/database.ts';
import type { LayerRecipe } from '../oci/layer-recipe.ts';
import {
  findRepository,
  lockDigests,
  lockExistingRepository,
  lockRepository,
  type RepositoryId,
} from './catalog-locks.ts';
import { ociError } from './oci-error.ts';

export type BlobContent =
  | { readonly digest: OciDigest; readonly size: number; readonly kind: 'file' }
  | {
      readonly digest: OciDigest;
      readonly size: number;
      readonly kind: 'recipe';
      readonly recipe: LayerRecipe;
    };

type BlobRow = {
  digest: OciDigest;
  size: number;
  kind: 'file' | 'recipe';
  recipe: LayerRecipe | null;
  stale: boolean;
};

/** A client that was told "exists" relies on it for its manifest: half the lease must be left then. */
const RENEW = `least($3::float8 / 2, 3600)`;

/** The blob as `repository` sees it. Asking renews its lease of `leaseSeconds`, so that a push may rely on the answer. */
export async function findBlob(
  db: Database,
  repository: RepositoryName,
  digest: OciDigest,
  leaseSeconds: number,
): Promise<BlobContent | undefined> {
  const [row] = await db.query<BlobRow>(
    `select b.digest, b.size, b.kind, b.recipe, l.linked_at < now() - make_interval(secs => ${RENEW}) as stale
       from repositories r join repository_blobs l on l.repository_id = r.id join blobs b on b.digest = l.digest
      where r.name = $1 and b.digest = $2`,
    [repository, digest, leaseSeconds],
  );
  if (row === undefined) return undefined;
  if (row.stale && !(await renewLease(db, repository, digest))) return undefined;
  return contentOf(row);
}

/** Makes a sealed upload a blob of the repository; its file is dropped where the content is known already. */
export async function linkUpload(
  db: Database,
  blobs: BlobStore,
  repository: RepositoryName,
  upload: SealedUpload,
): Promise<void> {
  const placed = await db.transaction(async (tx) => {
    const id = await lockRepository(tx, repository);
    await lockDigests(tx, [upload.digest]);
    const known = await tx.query('select 1 from blobs where digest = $1', [upload.digest]);
    if (known.length === 0) {
      await blobs.place(upload);
      await tx.query(`insert into blobs (digest, size, kind) values ($1, $2, 'file')`, [
        upload.digest,
        upload.size,
      ]);
    }
    await insertLinks(tx, id, [upload.digest]);
    await tx.query('delete from blob_uploads where id = $1', [upload.id]);
    return known.length === 0;
  });
  if (!placed) await blobs.cancelUpload(upload.id);
}

/** Where to mount from: one repository, or any for which `allowed` holds. */
export interface MountSource {
  readonly from?: RepositoryName;
  readonly allowed: (repository: RepositoryName) => boolean;
}

/** Links a blob that another repository has. Returns undefined where there is none to mount. */
export async function mountBlob(
  db: Database,
  repository: RepositoryName,
  digest: OciDigest,
  source: MountSource,
): Promise<BlobContent | undefined> {
  const holders = await db.query<{ name: RepositoryName }>(
    `select r.name from repository_blobs l join repositories r on r.id = l.repository_id
      where l.digest = $1 and ($2::text is null or r.name = $2) order by r.name limit 1000`,
    [digest, source.from ?? null],
  );
  if (!holders.some((holder) => source.allowed(holder.name))) return undefined;
  return await db.transaction(async (tx) => {
    const id = await lockRepository(tx, repository);
    await lockDigests(tx, [digest]);
    const [row] = await tx.query<BlobRow>('select digest, size, kind, recipe from blobs where digest = $1', [
      digest,
    ]);
    if (row === undefined) return undefined;
    await insertLinks(tx, id, [digest]);
    return contentOf(row);
  });
}

/** Takes a blob out of the repository. @throws KilnError BLOB_UNKNOWN */
export async function unlinkBlob(db: Database, repository: RepositoryName, digest: OciDigest): Promise<void> {
  await db.transaction(async (tx) => {
    const id = await lockExistingRepository(tx, repository);
    const gone = await tx.query(
      'delete from repository_blobs where repository_id = $1 and digest = $2 returning digest',
      [id, digest],
    );
    if (gone.length === 0) throw ociError('BLOB_UNKNOWN', `${repository} has no blob ${digest}`);
    await tx.query('update blobs set last_used_at = now() where digest = $1', [digest]);
  });
}

/** Adds or renews links. The caller holds the locks of the repository and of the digests, which are blobs. */
export async function insertLinks(
  tx: Queryable,
  repository: RepositoryId,
  digests: readonly OciDigest[],
): Promise<void> {
  const all = [...new Set(digests)];
  await tx.query('update blobs set last_used_at = now() where digest = any($1::text[])', [all]);
  await tx.query(
    `insert into repository_blobs (repository_id, digest) select $1, unnest($2::text[])
     on conflict (repository_id, digest) do update set linked_at = now()`,
    [repository, all],
  );
}

export function contentOf(row: Omit<BlobRow, 'stale'>): BlobContent {
  const { digest, size } = row;
  return row.kind === 'recipe' && row.recipe !== null
    ? { digest, size, kind: 'recipe', recipe: row.recipe }
    : { digest, size, kind: 'file' };
}

async function renewLease(db: Database, repository: RepositoryName, digest: OciDigest): Promise<boolean> {
  const id = await findRepository(db, repository);
  const renewed = await db.query(
    'update repository_blobs set linked_at = now() where repository_id = $1 and digest = $2 returning digest',
    [id, digest],
  );
  return renewed.length > 0;
}
