/** Puts an image that Kiln made into a repository, without a byte of its layers being written. */
import { randomUUID } from 'node:crypto';
import type { OciDigest, RepositoryName } from '../base/brand.ts';
import type { BlobStore, SealedUpload } from '../blobs/blob-store.ts';
import type { Database, Queryable } from '../db/database.ts';
import type { Layer } from '../oci/layer-recipe.ts';
import { parseManifest } from '../oci/manifest.ts';
import { insertLinks } from './blob-links.ts';
import { lockDigests, lockRepository, type RepositoryId } from './catalog-locks.ts';
import type { PathHolder } from './path-holder.ts';
import { insertManifest, setTag } from './put-manifest.ts';

export interface ImageInput {
  readonly repository: RepositoryName;
  /** Exact bytes; they decide the digest. */
  readonly manifest: Buffer;
  readonly config: Buffer;
  /** Layers by recipe. Others that the manifest names must be in the catalog already, in any repository. */
  readonly layers: readonly Layer[];
  /** Documents to keep with the manifest, such as the start-up check: kind → result. */
  readonly results?: Readonly<Record<string, unknown>>;
}

/**
 * Stores the image and points `tags` at it, in one transaction: readers see the old image or the whole new one.
 * Without tags the image can be pulled by digest only.
 */
export async function publishImage(
  db: Database,
  blobs: BlobStore,
  holder: PathHolder,
  image: ImageInput & { readonly tags: readonly string[] },
): Promise<OciDigest> {
  const parsed = parseManifest(image.manifest);
  const config = await storeUpload(blobs, image.config);
  try {
    await db.transaction(async (tx) => {
      const repository = await lockRepository(tx, image.repository);
      const named =
        parsed.content.kind === 'manifest' ? parsed.content.layers.map((layer) => layer.digest) : [];
      await lockDigests(tx, [config.digest, ...image.layers.map((layer) => layer.digest), ...named]);
      await insertConfig(tx, blobs, repository, config);
      await insertRecipes(tx, repository, image.layers);
      await linkKnown(tx, repository, named);
      await insertManifest(tx, holder, repository, { parsed, digest: parsed.digest, sparse: false });
      for (const tag of image.tags) await setTag(tx, repository, tag, parsed.digest);
      for (const [kind, result] of Object.entries(image.results ?? {})) {
        await insertResult(tx, repository, parsed.digest, kind, result);
      }
    });
  } finally {
    await blobs.cancelUpload(config.id); // does nothing once the file is in its place
  }
  return parsed.digest;
}

/** Keeps `result` with the manifest, replacing an older one of its kind. */
export async function insertResult(
  tx: Queryable,
  repository: RepositoryId,
  digest: OciDigest,
  kind: string,
  result: unknown,
): Promise<void> {
  await tx.query(
    `insert into manifest_results (repository_id, digest, kind, result) values ($1, $2, $3, $4::jsonb)
     on conflict (repository_id, digest, kind) do update set result = excluded.result, recorded_at = now()`,
    [repository, digest, kind, JSON.stringify(result)],
  );
}

async function storeUpload(blobs: BlobStore, content: Buffer): Promise<SealedUpload> {
  const id = randomUUID();
  await blobs.startUpload(id);
  try {
    await blobs.append(id, once(content), { algorithm: 'sha256', length: content.length });
    return await blobs.seal(id, 'sha256');
  } catch (error) {
    await blobs.cancelUpload(id);
    throw error;
  }
}

async function* once(content: Buffer): AsyncGenerator<Buffer> {
  yield content;
}

async function insertConfig(
  tx: Queryable,
  blobs: BlobStore,
  repository: RepositoryId,
  config: SealedUpload,
): Promise<void> {
  const known = await tx.query('select 1 from blobs where digest = $1', [config.digest]);
  if (known.length === 0) {
    await blobs.place(config);
    await tx.query(`insert into blobs (digest, size, kind) values ($1, $2, 'file')`, [
      config.digest,
      config.size,
    ]);
  }
  await insertLinks(tx, repository, [config.digest]);
}

/** A blob that was pushed as a file before keeps its file, and learns what it is made of. */
async function insertRecipes(
  tx: Queryable,
  repository: RepositoryId,
  layers: readonly Layer[],
): Promise<void> {
  const byDigest = new Map(layers.map((layer) => [layer.digest, layer]));
  const digests = [...byDigest.keys()];
  // The same digest is the same recipe, and recipes can be long.
  const known = await tx.query<{ digest: OciDigest }>(
    'select digest from blobs where digest = any($1::text[]) and recipe is not null',
    [digests],
  );
  for (const { digest } of known) byDigest.delete(digest);
  if (byDigest.size > 0) {
    await tx.query(
      `insert into blobs (digest, size, kind, recipe)
       select r.digest, r.size, 'recipe', r.recipe from jsonb_to_recordset($1::jsonb) as r(digest text, size bigint, recipe jsonb)
       on conflict (digest) do update set recipe = excluded.recipe`,
      [JSON.stringify([...byDigest.values()])],
    );
  }
  await insertLinks(tx, repository, digests);
}

async function linkKnown(
  tx: Queryable,
  repository: RepositoryId,
  digests: readonly OciDigest[],
): Promise<void> {
  const rows = await tx.query<{ digest: OciDigest }>(
    'select digest from blobs where digest = any($1::text[])',
    [[...new Set(digests)]],
  );
  await insertLinks(
    tx,
    repository,
    rows.map((row) => row.digest),
  );
}
