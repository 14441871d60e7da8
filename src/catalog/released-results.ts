/** Documents kept with the releases of a repository, over time. */
import type { OciDigest, RepositoryName } from '../base/brand.ts';
import type { Queryable } from '../db/database.ts';

export interface ReleasedResult {
  readonly digest: OciDigest;
  readonly result: unknown;
}

/** Of the images that a tag names or named, newest first; those without such a document are left out. */
export async function releasedResults(
  db: Queryable,
  repository: RepositoryName,
  kind: string,
  limit: number,
): Promise<ReleasedResult[]> {
  return await db.query<{ digest: OciDigest; result: unknown }>(
    `select p.digest, p.result
       from repositories r join manifest_results p on p.repository_id = r.id
            join lateral (select max(t.id) as move from tag_moves t
              where t.repository_id = r.id and t.digest = p.digest) last on last.move is not null
      where r.name = $1 and p.kind = $2 order by last.move desc limit $3`,
    [repository, kind, limit],
  );
}
