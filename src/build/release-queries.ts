/** SQL for a release that belongs to a build with a record of its own. */
import type { Queryable } from '../db/database.ts';

/** The record that has this identifier, as far as a release must know it. */
export async function findReleased(
  db: Queryable,
  id: string,
): Promise<{ readonly serviceId: string; readonly isRelease: boolean } | undefined> {
  const [row] = await db.query<{ service_id: string; kind: string }>(
    `select service_id, source->>'kind' as kind from builds where id = $1`,
    [id],
  );
  return row === undefined ? undefined : { serviceId: row.service_id, isRelease: row.kind === 'store-path' };
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
