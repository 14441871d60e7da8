/** Adds manifests to a repository: checks what they name, roots what they need, moves tags. */
import type { OciDigest, RepositoryName, StorePath } from '../base/brand.ts';
import type { Database, Queryable } from '../db/database.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { LayerRecipe } from '../oci/layer-recipe.ts';
import { digestAlgorithm, digestOf } from '../oci/digest.ts';
import { parseManifest, type ParsedManifest } from '../oci/manifest.ts';
import { lockDigests, lockRepository, type RepositoryId } from './catalog-locks.ts';
import { ociError, withOciCode } from './oci-error.ts';
import type { PathHolder } from './path-holder.ts';

export interface ManifestInput {
  readonly repository: RepositoryName;
  readonly content: Buffer;
  readonly mediaType?: string;
  /** The digest that the sender says the content has. */
  readonly digest?: OciDigest;
  readonly tags: readonly string[];
  /** Take manifests that name blobs or manifests which are not here. */
  readonly sparse?: boolean;
}

export interface StoredManifest {
  readonly digest: OciDigest;
  readonly subject?: OciDigest;
}

interface Reference {
  readonly role: 'config' | 'layer' | 'child';
  readonly descriptor: Descriptor;
}

/** @throws KilnError MANIFEST_INVALID, DIGEST_INVALID, MANIFEST_BLOB_UNKNOWN, too-large, store-path-missing */
export async function putManifest(
  db: Database,
  holder: PathHolder,
  input: ManifestInput,
): Promise<StoredManifest> {
  const parsed = parseOrRefuse(input);
  const digest = contentDigest(input);
  return await db.transaction(async (tx) => {
    const repository = await lockRepository(tx, input.repository);
    await insertManifest(tx, holder, repository, { parsed, digest, sparse: input.sparse ?? false });
    for (const tag of input.tags) await setTag(tx, repository, tag, digest);
    const subject = parsed.content.subject?.digest;
    return { digest, ...(subject === undefined ? {} : { subject }) };
  });
}

/** Stores a parsed manifest; the caller holds the repository's lock. */
export async function insertManifest(
  tx: Queryable,
  holder: PathHolder,
  repository: RepositoryId,
  manifest: { readonly parsed: ParsedManifest; readonly digest: OciDigest; readonly sparse: boolean },
): Promise<void> {
  const { parsed, digest } = manifest;
  const references = referencesOf(parsed);
  const missing = await renewReferences(tx, repository, references);
  if (missing.length > 0 && !manifest.sparse) {
    throw ociError(
      'MANIFEST_BLOB_UNKNOWN',
      `The manifest names ${missing.length} blobs or manifests that are not here`,
      {
        where: missing.slice(0, 5).join(', '),
        hint: 'Push them before the manifest.',
        fields: { detail: missing.slice(0, 100).map((unknown) => ({ digest: unknown })) },
      },
    );
  }
  const paths = await recipePaths(tx, references);
  await lockDigests(tx, [digest]);
  if (paths.length > 0) await holder.hold(digest, paths);
  const { content } = parsed;
  await tx.query(
    `insert into manifests (repository_id, digest, media_type, content, artifact_type, subject, annotations)
     values ($1, $2, $3, $4, $5, $6, $7::jsonb)
     on conflict (repository_id, digest) do update set touched_at = now()`,
    [
      repository,
      digest,
      content.mediaType,
      parsed.bytes,
      artifactTypeOf(parsed) ?? null,
      content.subject?.digest ?? null,
      content.annotations === undefined ? null : JSON.stringify(content.annotations),
    ],
  );
  await insertReferences(tx, repository, digest, references);
}

/** Points a tag at a manifest of the repository and records the move; the caller holds the repository's lock. */
export async function setTag(
  tx: Queryable,
  repository: RepositoryId,
  name: string,
  digest: OciDigest,
): Promise<void> {
  const [before] = await tx.query<{ digest: OciDigest }>(
    'select digest from tags where repository_id = $1 and name = $2',
    [repository, name],
  );
  if (before?.digest === digest) return;
  await tx.query(
    `insert into tags (repository_id, name, digest) values ($1, $2, $3)
     on conflict (repository_id, name) do update set digest = excluded.digest, moved_at = now()`,
    [repository, name, digest],
  );
  await tx.query(
    'insert into tag_moves (repository_id, name, digest, previous_digest) values ($1, $2, $3, $4)',
    [repository, name, digest, before?.digest ?? null],
  );
  if (before !== undefined) {
    // What a tag left behind may be pulled for a while: its age counts from now.
    await tx.query('update manifests set touched_at = now() where repository_id = $1 and digest = $2', [
      repository,
      before.digest,
    ]);
  }
}

function parseOrRefuse(input: ManifestInput): ParsedManifest {
  try {
    return parseManifest(input.content, input.mediaType);
  } catch (error) {
    throw withOciCode(error, 'MANIFEST_INVALID');
  }
}

function contentDigest(input: ManifestInput): OciDigest {
  const digest = digestOf(
    input.content,
    input.digest === undefined ? 'sha256' : digestAlgorithm(input.digest),
  );
  if (input.digest === undefined || digest === input.digest) return digest;
  throw ociError('DIGEST_INVALID', `The manifest has the digest ${digest}, not ${input.digest}`);
}

function referencesOf(parsed: ParsedManifest): Reference[] {
  const { content } = parsed;
  if (content.kind === 'index') return content.manifests.map((descriptor) => ({ role: 'child', descriptor }));
  return [
    { role: 'config', descriptor: content.config },
    ...content.layers.map((descriptor): Reference => ({ role: 'layer', descriptor })),
  ];
}

/** image-spec manifest.md: without an artifact type of its own, an image has that of its config; an index has none. */
function artifactTypeOf(parsed: ParsedManifest): string | undefined {
  const { content } = parsed;
  if (content.artifactType !== undefined && content.artifactType !== '') return content.artifactType;
  return content.kind === 'manifest' ? content.config.mediaType : undefined;
}

/** Renews the lease of everything named that is here, and returns the digests that are not but should be. */
async function renewReferences(
  tx: Queryable,
  repository: RepositoryId,
  references: readonly Reference[],
): Promise<OciDigest[]> {
  const blobs = references.filter((reference) => reference.role !== 'child');
  const children = references.filter((reference) => reference.role === 'child');
  const digests = (list: readonly Reference[]): OciDigest[] =>
    list.map((reference) => reference.descriptor.digest);
  const present = new Set<string>();
  if (blobs.length > 0) {
    const rows = await tx.query<{ digest: string }>(
      `update repository_blobs set linked_at = now() where repository_id = $1 and digest = any($2::text[]) returning digest`,
      [repository, digests(blobs)],
    );
    for (const row of rows) present.add(row.digest);
  }
  if (children.length > 0) {
    const rows = await tx.query<{ digest: string }>(
      `update manifests set touched_at = now() where repository_id = $1 and digest = any($2::text[]) returning digest`,
      [repository, digests(children)],
    );
    for (const row of rows) present.add(row.digest);
  }
  return references
    .filter(({ descriptor }) => !present.has(descriptor.digest) && !isElsewhere(descriptor))
    .map(({ descriptor }) => descriptor.digest);
}

/** Layers that a registry need not hold (image-spec layer.md, "Non-Distributable Layers"). */
function isElsewhere(descriptor: Descriptor): boolean {
  return /\.(?:nondistributable|foreign)\./.test(descriptor.mediaType);
}

async function recipePaths(tx: Queryable, references: readonly Reference[]): Promise<StorePath[]> {
  const layers = references.filter((reference) => reference.role === 'layer');
  if (layers.length === 0) return [];
  const rows = await tx.query<{ recipe: LayerRecipe }>(
    `select recipe from blobs where kind = 'recipe' and digest = any($1::text[])`,
    [layers.map((layer) => layer.descriptor.digest)],
  );
  const paths = new Set<StorePath>();
  for (const { recipe } of rows) {
    for (const entry of recipe.entries) if (entry.type === 'store-path') paths.add(entry.path);
  }
  return [...paths].toSorted();
}

async function insertReferences(
  tx: Queryable,
  repository: RepositoryId,
  manifest: OciDigest,
  references: readonly Reference[],
): Promise<void> {
  const rows = references.map(({ role, descriptor }, position) => ({
    position,
    role,
    digest: descriptor.digest,
    media_type: descriptor.mediaType,
    size: descriptor.size,
  }));
  await tx.query(
    `insert into manifest_references (repository_id, manifest, position, role, digest, media_type, size)
     select $1, $2, r.position, r.role, r.digest, r.media_type, r.size
       from jsonb_to_recordset($3::jsonb) as r(position integer, role text, digest text, media_type text, size bigint)
     on conflict (repository_id, manifest, position) do nothing`,
    [repository, manifest, JSON.stringify(rows)],
  );
}
