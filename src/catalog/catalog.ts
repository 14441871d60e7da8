/** What the registry holds, for the pipeline and for the registry's endpoints: one object over the files beside this one. */
import type { OciDigest, RepositoryName } from '../base/brand.ts';
import type { ByteSpan } from '../base/byte-span.ts';
import type { BlobStore, SealedUpload } from '../blobs/blob-store.ts';
import type { Database, Queryable } from '../db/database.ts';
import type { LayerRecipe } from '../oci/layer-recipe.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { DigestAlgorithm } from '../oci/digest.ts';
import {
  type BlobContent,
  findBlob,
  linkUpload,
  mountBlob,
  type MountSource,
  unlinkBlob,
} from './blob-links.ts';
import {
  type BlobUpload,
  cancelUpload,
  DEFAULT_UPLOAD_LIMITS,
  requireUpload,
  startUpload,
  type UploadLimits,
} from './blob-uploads.ts';
import { lockExistingRepository, type RepositoryId, requireRepository } from './catalog-locks.ts';
import { collectGarbage, type GarbageReport, recoverBlobs } from './collect-garbage.ts';
import { deleteManifest, deleteTag } from './delete-manifest.ts';
import { imageDetails, type ImageDetails, type ImageSummary, listImages } from './image-details.ts';
import { ociError } from './oci-error.ts';
import type { PathHolder } from './path-holder.ts';
import { type ImageInput, insertResult, publishImage } from './publish-image.ts';
import { type ManifestInput, putManifest, setTag, type StoredManifest } from './put-manifest.ts';
import * as reading from './read-manifests.ts';
import { type ReleasedResult, releasedResults } from './released-results.ts';
import { DEFAULT_RETENTION, explainRetention, type Retained, type RetentionPolicy } from './retention.ts';

/** Generates the bytes of a recipe. */
export interface LayerReader {
  /** Bytes of the whole layer. */
  size(recipe: LayerRecipe): Promise<number>;
  /** Fails before the first chunk where a store path is missing or changed; then the bytes are right or the stream breaks. */
  read(recipe: LayerRecipe, options: ByteSpan & { readonly signal?: AbortSignal }): AsyncIterable<Buffer>;
}

export interface CatalogOptions {
  readonly database: Database;
  readonly blobs: BlobStore;
  readonly reader: LayerReader;
  readonly holder: PathHolder;
  readonly uploadLimits?: UploadLimits;
  readonly retention?: RetentionPolicy;
  /** Milliseconds that a blob without a manifest stays. Default: one day. */
  readonly graceMs?: number;
}

export interface Catalog {
  publishImage(image: ImageInput & { readonly tags: readonly string[] }): Promise<OciDigest>;
  /** Stores the image so that it can be pulled by digest; {@link moveTag} makes it public. */
  stageImage(image: ImageInput): Promise<OciDigest>;
  /** @throws KilnError MANIFEST_UNKNOWN */
  moveTag(repository: RepositoryName, tag: string, digest: OciDigest): Promise<void>;
  resolve(repository: RepositoryName, reference: string): Promise<OciDigest | undefined>;
  listImages: (filter?: {
    readonly repository?: RepositoryName;
    readonly tagged?: boolean;
    readonly limit?: number;
  }) => Promise<ImageSummary[]>;
  imageDetails(repository: RepositoryName, reference: string): Promise<ImageDetails | undefined>;
  /** Keeps a document with the manifest, e.g. kind `start-check`. */
  recordResult(repository: RepositoryName, digest: OciDigest, kind: string, result: unknown): Promise<void>;
  /** Documents of that kind kept with the repository's releases, newest first. */
  releasedResults(repository: RepositoryName, kind: string, limit: number): Promise<ReleasedResult[]>;
  pin(repository: RepositoryName, digest: OciDigest, reason: string): Promise<void>;
  unpin(repository: RepositoryName, digest: OciDigest, reason: string): Promise<void>;
  explainRetention(repository: RepositoryName): Promise<Retained[]>;
  collectGarbage(signal?: AbortSignal): Promise<GarbageReport>;

  putManifest(input: ManifestInput): Promise<StoredManifest>;
  readManifest(repository: RepositoryName, reference: string): Promise<reading.ManifestContent | undefined>;
  deleteManifest(repository: RepositoryName, digest: OciDigest): Promise<void>;
  deleteTag(repository: RepositoryName, tag: string): Promise<void>;
  listTags(repository: RepositoryName, page: { limit: number; last?: string }): Promise<reading.Page<string>>;
  listRepositories(page: { limit: number; last?: string }): Promise<reading.Page<RepositoryName>>;
  listReferrers(
    repository: RepositoryName,
    subject: OciDigest,
    page: { limit: number; last?: string; artifactType?: string },
  ): Promise<reading.Page<Descriptor>>;
  tagHistory(repository: RepositoryName, tag?: string, limit?: number): Promise<reading.TagMove[]>;

  findBlob(repository: RepositoryName, digest: OciDigest): Promise<BlobContent | undefined>;
  /** Bytes `start` up to, not including, `end` of what {@link findBlob} gave. */
  readBlob(blob: BlobContent, span: ByteSpan, signal?: AbortSignal): AsyncIterable<Buffer>;
  mountBlob(
    repository: RepositoryName,
    digest: OciDigest,
    source: MountSource,
  ): Promise<BlobContent | undefined>;
  unlinkBlob(repository: RepositoryName, digest: OciDigest): Promise<void>;
  startUpload(repository: RepositoryName, algorithm: DigestAlgorithm): Promise<BlobUpload>;
  requireUpload(repository: RepositoryName, id: string): Promise<BlobUpload>;
  finishUpload(repository: RepositoryName, upload: SealedUpload): Promise<void>;
  cancelUpload(id: string): Promise<void>;
  readonly blobs: BlobStore;
}

const DAY_MS = 24 * 3_600_000;

/** Opens the catalog and repairs what a crash left half done. */
export async function openCatalog(options: CatalogOptions): Promise<Catalog> {
  const { database: db, blobs, reader, holder } = options;
  const uploadLimits = options.uploadLimits ?? DEFAULT_UPLOAD_LIMITS;
  const retention = options.retention ?? DEFAULT_RETENTION;
  const graceMs = options.graceMs ?? DAY_MS;
  await recoverBlobs(db, blobs);

  return {
    blobs,
    publishImage: (image) => publishImage(db, blobs, holder, image),
    stageImage: (image) => publishImage(db, blobs, holder, { ...image, tags: [] }),
    moveTag: (repository, tag, digest) => moveTag(db, repository, tag, digest),
    resolve: (repository, reference) => reading.resolveReference(db, repository, reference),
    listImages: (filter) => listImages(db, filter),
    imageDetails: (repository, reference) => imageDetails(db, repository, reference),
    recordResult: async (repository, digest, kind, result) =>
      await insertResult(db, await requireRepository(db, repository), digest, kind, result),
    releasedResults: (repository, kind, limit) => releasedResults(db, repository, kind, limit),
    pin: (repository, digest, reason) => pin(db, repository, digest, reason),
    unpin: (repository, digest, reason) => unpin(db, repository, digest, reason),
    explainRetention: async (repository) =>
      await explainRetention(db, await requireRepository(db, repository), retention, Date.now()),
    collectGarbage: (signal) =>
      collectGarbage(db, blobs, holder, {
        graceMs,
        uploadTtlMs: uploadLimits.ttlMs,
        retention,
        ...(signal === undefined ? {} : { signal }),
      }),

    putManifest: (input) => putManifest(db, holder, input),
    readManifest: (repository, reference) => reading.readManifest(db, repository, reference),
    deleteManifest: (repository, digest) => deleteManifest(db, holder, repository, digest),
    deleteTag: (repository, tag) => deleteTag(db, repository, tag),
    listTags: (repository, page) => reading.listTags(db, repository, page),
    listRepositories: (page) => reading.listRepositories(db, page),
    listReferrers: (repository, subject, page) => reading.listReferrers(db, repository, subject, page),
    tagHistory: (repository, tag, limit = 100) => reading.tagHistory(db, repository, tag, limit),

    findBlob: (repository, digest) => findBlob(db, repository, digest, graceMs / 1000),
    readBlob: (blob, span, signal) =>
      blob.kind === 'file'
        ? blobs.read(blob.digest, withSignal(span, signal))
        : reader.read(blob.recipe, withSignal(span, signal)),
    mountBlob: (repository, digest, source) => mountBlob(db, repository, digest, source),
    unlinkBlob: (repository, digest) => unlinkBlob(db, repository, digest),
    startUpload: (repository, algorithm) => startUpload(db, blobs, repository, algorithm, uploadLimits),
    requireUpload: (repository, id) => requireUpload(db, repository, id),
    finishUpload: (repository, upload) => linkUpload(db, blobs, repository, upload),
    cancelUpload: (id) => cancelUpload(db, blobs, id),
  };
}

/** Locks the repository of a manifest that is there. @throws KilnError MANIFEST_UNKNOWN, NAME_UNKNOWN */
async function lockManifest(
  tx: Queryable,
  repository: RepositoryName,
  digest: OciDigest,
): Promise<RepositoryId> {
  const id = await lockExistingRepository(tx, repository);
  const found = await tx.query('select 1 from manifests where repository_id = $1 and digest = $2', [
    id,
    digest,
  ]);
  if (found.length === 0) throw ociError('MANIFEST_UNKNOWN', `${repository} has no manifest ${digest}`);
  return id;
}

async function moveTag(
  db: Database,
  repository: RepositoryName,
  tag: string,
  digest: OciDigest,
): Promise<void> {
  await db.transaction(async (tx) => {
    const id = await lockManifest(tx, repository, digest);
    await setTag(tx, id, tag, digest);
  });
}

async function pin(
  db: Database,
  repository: RepositoryName,
  digest: OciDigest,
  reason: string,
): Promise<void> {
  await db.transaction(async (tx) => {
    const id = await lockManifest(tx, repository, digest);
    await tx.query(
      'insert into manifest_pins (repository_id, digest, reason) values ($1, $2, $3) on conflict do nothing',
      [id, digest, reason],
    );
  });
}

async function unpin(
  db: Database,
  repository: RepositoryName,
  digest: OciDigest,
  reason: string,
): Promise<void> {
  const id = await requireRepository(db, repository);
  await db.query('delete from manifest_pins where repository_id = $1 and digest = $2 and reason = $3', [
    id,
    digest,
    reason,
  ]);
}

function withSignal(span: ByteSpan, signal: AbortSignal | undefined): ByteSpan & { signal?: AbortSignal } {
  return signal === undefined ? span : { ...span, signal };
}
