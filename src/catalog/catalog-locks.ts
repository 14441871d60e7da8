/**
 * Locks that make reference counting exact. Order: repository row, then digests in ascending order.
 * Every statement after a lock sees what its previous holder committed (READ COMMITTED).
 */
import type { OciDigest, RepositoryName } from '../base/brand.ts';
import type { Queryable } from '../db/database.ts';
import { ociError } from './oci-error.ts';

/** Identifier of a repository in the database. */
export type RepositoryId = number;

export async function findRepository(db: Queryable, name: RepositoryName): Promise<RepositoryId | undefined> {
  const [row] = await db.query<{ id: number }>('select id from repositories where name = $1', [name]);
  return row?.id;
}

/** @throws KilnError NAME_UNKNOWN */
export async function requireRepository(db: Queryable, name: RepositoryName): Promise<RepositoryId> {
  const id = await findRepository(db, name);
  if (id === undefined) throw ociError('NAME_UNKNOWN', `There is no repository ${name}`);
  return id;
}

/** Creates the repository where it is missing, and locks it until the transaction ends. */
export async function lockRepository(tx: Queryable, name: RepositoryName): Promise<RepositoryId> {
  await tx.query('insert into repositories (name) values ($1) on conflict (name) do nothing', [name]);
  const [row] = await tx.query<{ id: number }>('select id from repositories where name = $1 for update', [
    name,
  ]);
  if (row === undefined) throw ociError('NAME_UNKNOWN', `The repository ${name} was removed just now`);
  return row.id;
}

/** Locks an existing repository. @throws KilnError NAME_UNKNOWN */
export async function lockExistingRepository(tx: Queryable, name: RepositoryName): Promise<RepositoryId> {
  const [row] = await tx.query<{ id: number }>('select id from repositories where name = $1 for update', [
    name,
  ]);
  if (row === undefined) throw ociError('NAME_UNKNOWN', `There is no repository ${name}`);
  return row.id;
}

/** Locks content by digest until the transaction ends, also content that does not exist yet. */
export async function lockDigests(tx: Queryable, digests: Iterable<OciDigest>): Promise<void> {
  const sorted = [...new Set(digests)].toSorted();
  if (sorted.length === 0) return;
  // A subquery with an order and an offset is not merged into the outer one: the locks are taken in its order.
  await tx.query(
    `select pg_advisory_xact_lock(key) from (
       select hashtextextended(digest, 7207) as key
         from unnest($1::text[]) with ordinality as d(digest, place) order by place offset 0) as keys`,
    [sorted],
  );
}
