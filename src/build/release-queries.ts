/** SQL for a release that belongs to a build with a record of its own. */
import type { Queryable } from '../db/database.ts';

export interface Released {
  /** It was a release itself, of a result without a build on record. */
  readonly isRelease: boolean;
  /** Image and health settings that its source brought, as they were stored. */
  readonly application: unknown;
}

/** The record that has this identifier, as far as a release must know it. */
export async function findReleased(db: Queryable, id: string): Promise<Released | undefined> {
  const [row] = await db.query<{ kind: string; application: unknown }>(
    `select source->>'kind' as kind, details->'application' as application from builds where id = $1`,
    [id],
  );
  return row === undefined
    ? undefined
    : { isRelease: row.kind === 'store-path', application: row.application ?? {} };
}

/** Notes the image of `release` with the build that it was made from. */
export async function copyImage(db: Queryable, release: string, build: string): Promise<void> {
  await db.query(
    `update builds b set image_reference = r.image_reference, image_digest = r.image_digest,
       image_size = r.image_size, image_reused = r.image_reused
     from builds r where r.id = $1 and b.id = $2`,
    [release, build],
  );
}
