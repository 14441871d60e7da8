/** The table of layer digests by key. */
import type { OciDigest } from '../base/brand.ts';
import type { Queryable } from '../db/database.ts';
import type { HashedLayer } from './hash-layer.ts';

type LayerRow = { key: string; digest: OciDigest; size: number };

/** The known digests among `keys`; marks them as used. */
export async function findLayerDigests(
  db: Queryable,
  keys: readonly string[],
): Promise<Map<string, HashedLayer>> {
  if (keys.length === 0) return new Map();
  const rows = await db.query<LayerRow>(
    'update layer_digests set used_at = now() where key = any($1::text[]) returning key, digest, size',
    [keys],
  );
  return new Map(rows.map(({ key, digest, size }) => [key, { digest, size }]));
}

export async function insertLayerDigest(db: Queryable, key: string, layer: HashedLayer): Promise<void> {
  await db.query(
    'insert into layer_digests (key, digest, size) values ($1, $2, $3) on conflict (key) do nothing',
    [key, layer.digest, layer.size],
  );
}
