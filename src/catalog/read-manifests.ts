/** What a repository holds: manifests, tags, referrers, and the moves of its tags. */
import type { OciDigest, RepositoryName } from '../base/brand.ts';
import type { Queryable } from '../db/database.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { isDigest } from '../oci/digest.ts';
import { findRepository, requireRepository } from './catalog-locks.ts';

export interface ManifestContent {
  readonly digest: OciDigest;
  readonly mediaType: string;
  readonly content: Buffer;
}

export interface TagMove {
  readonly name: string;
  /** Undefined: the tag was removed. */
  readonly digest?: OciDigest;
  readonly previousDigest?: OciDigest;
  readonly movedAt: Date;
}

/** One page, and whether more follows. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly more: boolean;
}

/** Digest of a tag or of a digest that exists; undefined for anything else. */
export async function resolveReference(
  db: Queryable,
  repository: RepositoryName,
  reference: string,
): Promise<OciDigest | undefined> {
  const [row] = await db.query<{ digest: OciDigest }>(
    isDigest(reference)
      ? 'select m.digest from manifests m join repositories r on r.id = m.repository_id where r.name = $1 and m.digest = $2'
      : 'select t.digest from tags t join repositories r on r.id = t.repository_id where r.name = $1 and t.name = $2',
    [repository, reference],
  );
  return row?.digest;
}

/** The manifest behind a tag or digest, with the bytes that were pushed. */
export async function readManifest(
  db: Queryable,
  repository: RepositoryName,
  reference: string,
): Promise<ManifestContent | undefined> {
  const [row] = await db.query<{ digest: OciDigest; media_type: string; content: Uint8Array }>(
    `select m.digest, m.media_type, m.content from manifests m join repositories r on r.id = m.repository_id
      where r.name = $1 and m.digest = ${
        isDigest(reference)
          ? '$2'
          : '(select t.digest from tags t where t.repository_id = r.id and t.name = $2)'
      }`,
    [repository, reference],
  );
  if (row === undefined) return undefined;
  return { digest: row.digest, mediaType: row.media_type, content: Buffer.from(row.content) };
}

/** Tags after `last` in byte order, at most `limit`. @throws KilnError NAME_UNKNOWN */
export async function listTags(
  db: Queryable,
  repository: RepositoryName,
  page: { readonly limit: number; readonly last?: string },
): Promise<Page<string>> {
  const id = await requireRepository(db, repository);
  const rows = await db.query<{ name: string }>(
    'select name from tags where repository_id = $1 and name > $2 order by name limit $3',
    [id, page.last ?? '', page.limit + 1],
  );
  return pageOf(
    rows.map((row) => row.name),
    page.limit,
  );
}

export async function listRepositories(
  db: Queryable,
  page: { readonly limit: number; readonly last?: string },
): Promise<Page<RepositoryName>> {
  const rows = await db.query<{ name: RepositoryName }>(
    `select name from repositories r where name > $1 and exists (select 1 from manifests m where m.repository_id = r.id)
      order by name limit $2`,
    [page.last ?? '', page.limit + 1],
  );
  return pageOf(
    rows.map((row) => row.name),
    page.limit,
  );
}

/** Manifests whose subject is `subject`, as the referrers API describes them; also where the subject is not here. */
export async function listReferrers(
  db: Queryable,
  repository: RepositoryName,
  subject: OciDigest,
  page: { readonly limit: number; readonly last?: string; readonly artifactType?: string },
): Promise<Page<Descriptor>> {
  const id = await findRepository(db, repository);
  if (id === undefined) return { items: [], more: false };
  const rows = await db.query<{
    digest: OciDigest;
    media_type: string;
    size: number;
    artifact_type: string | null;
    annotations: Record<string, string> | null;
  }>(
    `select digest, media_type, octet_length(content) as size, artifact_type, annotations from manifests
      where repository_id = $1 and subject = $2 and digest > $3 and ($4::text is null or artifact_type = $4)
      order by digest limit $5`,
    [id, subject, page.last ?? '', page.artifactType ?? null, page.limit + 1],
  );
  const items = rows.map((row) => ({
    mediaType: row.media_type,
    digest: row.digest,
    size: row.size,
    ...(row.artifact_type === null ? {} : { artifactType: row.artifact_type }),
    ...(row.annotations === null ? {} : { annotations: row.annotations }),
  }));
  return pageOf(items, page.limit);
}

/** Newest first. */
export async function tagHistory(
  db: Queryable,
  repository: RepositoryName,
  name: string | undefined,
  limit: number,
): Promise<TagMove[]> {
  const id = await requireRepository(db, repository);
  const rows = await db.query<{
    name: string;
    digest: OciDigest | null;
    previous_digest: OciDigest | null;
    moved_at: Date;
  }>(
    `select name, digest, previous_digest, moved_at from tag_moves
      where repository_id = $1 and ($2::text is null or name = $2) order by id desc limit $3`,
    [id, name ?? null, limit],
  );
  return rows.map((row) => ({
    name: row.name,
    ...(row.digest === null ? {} : { digest: row.digest }),
    ...(row.previous_digest === null ? {} : { previousDigest: row.previous_digest }),
    movedAt: row.moved_at,
  }));
}

function pageOf<T>(rows: readonly T[], limit: number): Page<T> {
  return { items: rows.slice(0, limit), more: rows.length > limit };
}
