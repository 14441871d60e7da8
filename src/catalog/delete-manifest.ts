/** Removes tags and manifests, and gives back what only they held. */
import type { OciDigest, RepositoryName } from '../base/brand.ts';
import type { Database, Queryable } from '../db/database.ts';
import { lockDigests, lockExistingRepository, type RepositoryId } from './catalog-locks.ts';
import { ociError } from './oci-error.ts';
import type { PathHolder } from './path-holder.ts';

/** @throws KilnError MANIFEST_UNKNOWN, NAME_UNKNOWN */
export async function deleteTag(db: Database, repository: RepositoryName, name: string): Promise<void> {
  await db.transaction(async (tx) => {
    const id = await lockExistingRepository(tx, repository);
    const gone = await removeTags(tx, id, 'name', name);
    if (gone === 0) throw ociError('MANIFEST_UNKNOWN', `${repository} has no tag ${name}`);
  });
}

/**
 * Removes a manifest with its tags and pins. Referrers of it that nothing else names become garbage, as do its blobs.
 * @throws KilnError MANIFEST_UNKNOWN, NAME_UNKNOWN
 */
export async function deleteManifest(
  db: Database,
  holder: PathHolder,
  repository: RepositoryName,
  digest: OciDigest,
): Promise<void> {
  await db.transaction(async (tx) => {
    const id = await lockExistingRepository(tx, repository);
    if (!(await removeManifest(tx, id, digest))) {
      throw ociError('MANIFEST_UNKNOWN', `${repository} has no manifest ${digest}`);
    }
  });
  await releaseIfUnused(db, holder, digest);
}

/** The caller holds the repository's lock, and calls {@link releaseIfUnused} after the transaction. */
export async function removeManifest(
  tx: Queryable,
  repository: RepositoryId,
  digest: OciDigest,
): Promise<boolean> {
  await removeTags(tx, repository, 'digest', digest);
  await tx.query('delete from manifest_pins where repository_id = $1 and digest = $2', [repository, digest]);
  const gone = await tx.query(
    'delete from manifests where repository_id = $1 and digest = $2 returning digest',
    [repository, digest],
  );
  return gone.length > 0;
}

/** Lets a manifest's store paths go unless some repository has it. A crash before this leaves roots, never misses one. */
export async function releaseIfUnused(db: Database, holder: PathHolder, digest: OciDigest): Promise<void> {
  await db.transaction(async (tx) => {
    await lockDigests(tx, [digest]);
    const used = await tx.query('select 1 from manifests where digest = $1 limit 1', [digest]);
    if (used.length === 0) await holder.release(digest);
  });
}

async function removeTags(
  tx: Queryable,
  repository: RepositoryId,
  column: 'name' | 'digest',
  value: string,
): Promise<number> {
  const gone = await tx.query<{ name: string }>(
    `with gone as (delete from tags where repository_id = $1 and ${column} = $2 returning name, digest)
     insert into tag_moves (repository_id, name, digest, previous_digest)
     select $1, name, null, digest from gone returning name`,
    [repository, value],
  );
  return gone.length;
}
