/** Images as people look at them: what a manifest consists of, where it is tagged, what is known of it. */
import type { OciDigest, RepositoryName } from '../base/brand.ts';
import type { Queryable } from '../db/database.ts';
import type { LayerRecipe } from '../oci/layer-recipe.ts';
import { isIndexType } from '../oci/media-types.ts';
import { readManifest, resolveReference } from './read-manifests.ts';

export interface ImageSummary {
  readonly repository: RepositoryName;
  readonly digest: OciDigest;
  readonly mediaType: string;
  readonly kind: 'image' | 'index';
  readonly tags: readonly string[];
  /** Bytes of config and layers; for an index, of those of its members that are here. */
  readonly size: number;
  readonly layers: number;
  readonly pushedAt: Date;
}

export interface ImageLayer {
  readonly digest: OciDigest;
  readonly mediaType: string;
  readonly size: number;
  /** Missing: a non-distributable layer, or a member of a sparse index. */
  readonly stored: 'file' | 'recipe' | 'missing';
  readonly recipe?: LayerRecipe;
}

export interface ImageDetails extends ImageSummary {
  readonly manifest: Buffer;
  readonly config?: ImageLayer;
  readonly layerList: readonly ImageLayer[];
  readonly children: readonly OciDigest[];
  readonly pins: readonly string[];
  /** Kind → document, e.g. `start-check`. */
  readonly results: Readonly<Record<string, unknown>>;
}

type SummaryRow = {
  repository: RepositoryName;
  digest: OciDigest;
  media_type: string;
  pushed_at: Date;
  tags: string[];
  size: number;
  layers: number;
};

const SUMMARY = `
  select r.name as repository, m.digest, m.media_type, m.pushed_at,
         array(select t.name::text from tags t where t.repository_id = m.repository_id and t.digest = m.digest order by t.name) as tags,
         coalesce((select sum(f.size) from manifest_references f where f.repository_id = m.repository_id and f.role <> 'child'
           and (f.manifest = m.digest or f.manifest in (select c.digest from manifest_references c
             where c.repository_id = m.repository_id and c.manifest = m.digest and c.role = 'child'))), 0)::bigint as size,
         (select count(*) from manifest_references f
           where f.repository_id = m.repository_id and f.manifest = m.digest and f.role = 'layer')::int as layers
    from manifests m join repositories r on r.id = m.repository_id`;

/** Newest first, without referrers (signatures, attestations). */
export async function listImages(
  db: Queryable,
  filter: { readonly repository?: RepositoryName; readonly tagged?: boolean; readonly limit?: number } = {},
): Promise<ImageSummary[]> {
  const rows = await db.query<SummaryRow>(
    `${SUMMARY} where m.subject is null and ($1::text is null or r.name = $1)
       and (not $2::boolean or exists (select 1 from tags t where t.repository_id = m.repository_id and t.digest = m.digest))
     order by m.pushed_at desc, m.digest limit $3`,
    [filter.repository ?? null, filter.tagged ?? false, filter.limit ?? 1000],
  );
  return rows.map(summaryOf);
}

/** Undefined where the reference does not resolve. */
export async function imageDetails(
  db: Queryable,
  repository: RepositoryName,
  reference: string,
): Promise<ImageDetails | undefined> {
  const digest = await resolveReference(db, repository, reference);
  const manifest = digest === undefined ? undefined : await readManifest(db, repository, digest);
  const [row] = await db.query<SummaryRow>(`${SUMMARY} where r.name = $1 and m.digest = $2`, [
    repository,
    digest ?? '',
  ]);
  if (row === undefined || manifest === undefined) return undefined;
  const references = await db.query<{
    role: 'config' | 'layer' | 'child';
    digest: OciDigest;
    media_type: string;
    size: number;
    kind: 'file' | 'recipe' | null;
    recipe: LayerRecipe | null;
  }>(
    `select f.role, f.digest, f.media_type, f.size, b.kind, b.recipe
       from repositories r join manifest_references f on f.repository_id = r.id left join blobs b on b.digest = f.digest
      where r.name = $1 and f.manifest = $2 order by f.position`,
    [repository, row.digest],
  );
  const parts = references.map((part) => ({
    role: part.role,
    layer: {
      digest: part.digest,
      mediaType: part.media_type,
      size: part.size,
      stored: part.kind ?? 'missing',
      ...(part.recipe === null ? {} : { recipe: part.recipe }),
    } satisfies ImageLayer,
  }));
  const config = parts.find((part) => part.role === 'config')?.layer;
  return {
    ...summaryOf(row),
    manifest: manifest.content,
    ...(config === undefined ? {} : { config }),
    layerList: parts.filter((part) => part.role === 'layer').map((part) => part.layer),
    children: parts.filter((part) => part.role === 'child').map((part) => part.layer.digest),
    pins: await pinsOf(db, repository, row.digest),
    results: await resultsOf(db, repository, row.digest),
  };
}

async function pinsOf(db: Queryable, repository: RepositoryName, digest: OciDigest): Promise<string[]> {
  const rows = await db.query<{ reason: string }>(
    `select p.reason from manifest_pins p join repositories r on r.id = p.repository_id
      where r.name = $1 and p.digest = $2 order by p.reason`,
    [repository, digest],
  );
  return rows.map((row) => row.reason);
}

async function resultsOf(
  db: Queryable,
  repository: RepositoryName,
  digest: OciDigest,
): Promise<Record<string, unknown>> {
  const rows = await db.query<{ kind: string; result: unknown }>(
    `select p.kind, p.result from manifest_results p join repositories r on r.id = p.repository_id
      where r.name = $1 and p.digest = $2`,
    [repository, digest],
  );
  return Object.fromEntries(rows.map((row) => [row.kind, row.result]));
}

function summaryOf(row: SummaryRow): ImageSummary {
  return {
    repository: row.repository,
    digest: row.digest,
    mediaType: row.media_type,
    kind: isIndexType(row.media_type) ? 'index' : 'image',
    tags: row.tags,
    size: row.size,
    layers: row.layers,
    pushedAt: row.pushed_at,
  };
}
