/** Base images: brought into the embedded registry once, then used from there. */
import { createReadStream } from 'node:fs';
import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { OciDigest, RepositoryName } from '../base/brand.ts';
import { isKilnError, KilnError } from '../base/error.ts';
import { formatBytes } from '../base/units.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { BaseImage } from '../image/build-image.ts';
import { imagePlatform } from '../image/image-platform.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { digestAlgorithm, digestHex } from '../oci/digest.ts';
import { parseImageConfig } from '../oci/image-config.ts';
import { type ImageManifest, parseManifest } from '../oci/manifest.ts';
import { layerCompression, ociLayerType } from '../oci/media-types.ts';
import { type ImageReference, parseReference, parseRepositoryName } from '../oci/reference.ts';
import type { RemoteManifest } from '../registry/registry-client.ts';
import type { Kiln } from './open-kiln.ts';
import { registryClient } from './push-from-catalog.ts';

export interface BaseImageOptions {
  /** Nix system whose platform is taken of an image for several. */
  readonly system: string;
  /** Host and port of the embedded registry. */
  readonly registryHost: string;
  readonly signal: AbortSignal;
  readonly onProgress: (text: string) => void;
}

/**
 * The image that `reference` names: of the embedded registry where the reference has no host or its own, else a copy of the
 * remote one below `base/`. A tag is asked for every time; when its registry cannot be reached, the copy of last time is taken.
 * @throws KilnError not-found, unreachable, unauthorized, invalid-name, image-failed
 */
export async function fetchBaseImage(
  kiln: Kiln,
  reference: string,
  options: BaseImageOptions,
): Promise<BaseImage> {
  const catalog = await kiln.catalog();
  const parsed = parseReference(reference);
  const wanted = parsed.digest ?? parsed.tag ?? 'latest';
  const own = parsed.host === undefined || parsed.host === options.registryHost;
  const repository = own ? parsed.repository : mirrorOf(parsed);
  const local =
    own || parsed.digest !== undefined ? await find(catalog, repository, wanted, options) : undefined;
  const found = local ?? (own ? undefined : await mirror(kiln, catalog, parsed, repository, options));
  if (found === undefined) {
    throw new KilnError('not-found', `there is no base image ${reference}`, {
      where: 'image.base',
      hint: own
        ? 'Images of other registries are named with their host: docker.io/library/debian:12.'
        : 'Check its name and tag.',
    });
  }
  return await baseImage(catalog, repository, found, reference);
}

/** Somebody waits for the build, and a copy may be there. */
const QUICK = { baseMs: 500, capMs: 1000, totalMs: 2000 };

/** Repository of the copies. */
function mirrorOf(reference: ImageReference): RepositoryName {
  const host = (reference.host ?? '').toLowerCase().replace(/[^a-z0-9.]+/g, '-');
  return parseRepositoryName(`base/${host}/${reference.repository}`);
}

async function find(
  catalog: Catalog,
  repository: RepositoryName,
  reference: string,
  options: BaseImageOptions,
): Promise<RemoteManifest | undefined> {
  const manifest = await catalog.readManifest(repository, reference).catch(() => undefined);
  if (manifest === undefined) return undefined;
  const { content } = parseManifest(manifest.content, manifest.mediaType);
  if (content.kind === 'manifest') return manifest;
  const { os, architecture } = imagePlatform(options.system);
  const member = content.manifests.find(
    ({ platform }) => platform?.os === os && platform.architecture === architecture,
  );
  return member === undefined ? undefined : await catalog.readManifest(repository, member.digest);
}

/** @returns the image for the platform, whose blobs are in the catalog */
async function mirror(
  kiln: Kiln,
  catalog: Catalog,
  reference: ImageReference,
  repository: RepositoryName,
  options: BaseImageOptions,
): Promise<RemoteManifest | undefined> {
  const { signal, onProgress, system } = options;
  const tag = reference.tag ?? reference.digest?.slice(7, 19) ?? 'latest';
  const host = reference.host ?? '';
  const remote = (await registryClient(kiln)).repository(host, reference.repository);
  const asked = (await registryClient(kiln, QUICK)).repository(host, reference.repository);
  const { pullImage } = await import('../registry/client-pull.ts');
  const { os, architecture, variant } = imagePlatform(system);
  const directory = join(kiln.folders.home, 'pulls', randomUUID());
  try {
    onProgress(`pulling the base image ${remote.host}/${remote.name}`);
    const there = await asked.readManifest(reference.digest ?? tag, signal);
    if (there === undefined) return undefined;
    const known = await find(catalog, repository, there.digest, options);
    const tagged = await find(catalog, repository, tag, options);
    // An index is not stored; that the tag's image is one of its members says the same.
    if (known !== undefined || (tagged !== undefined && there.content.includes(tagged.digest)))
      return known ?? tagged;
    let bytes = 0;
    const pulled = await pullImage(remote, {
      reference: there.digest,
      directory,
      platform: { os, architecture, ...(variant === undefined ? {} : { variant }) },
      signal,
      onProgress: (progress) =>
        onProgress(`pulling the base image: ${formatBytes((bytes += progress.bytes))}`),
    });
    return await importLayout(catalog, repository, { directory, digest: pulled.digest, tag, signal });
  } catch (error) {
    const last =
      isKilnError(error) && error.code === 'unreachable'
        ? await find(catalog, repository, tag, options)
        : undefined;
    if (last === undefined) throw error;
    kiln.onNotice(
      `warning: ${remote.host} cannot be reached; the base image of last time is taken (${last.digest})`,
    );
    return last;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

interface PulledLayout {
  readonly directory: string;
  readonly digest: OciDigest;
  readonly tag: string;
  readonly signal: AbortSignal;
}

async function importLayout(
  catalog: Catalog,
  repository: RepositoryName,
  layout: PulledLayout,
): Promise<RemoteManifest> {
  const { layoutSource } = await import('../registry/image-source.ts');
  const manifest = await layoutSource(layout.directory).root();
  const { content } = parseManifest(manifest.content, manifest.mediaType);
  if (content.kind !== 'manifest')
    throw new KilnError('image-failed', 'the base image is an index within an index');
  for (const blob of [content.config, ...content.layers]) await importBlob(catalog, repository, layout, blob);
  await catalog.putManifest({
    repository,
    content: manifest.content,
    mediaType: manifest.mediaType,
    tags: [layout.tag],
  });
  return manifest;
}

async function importBlob(
  catalog: Catalog,
  repository: RepositoryName,
  { directory, signal }: PulledLayout,
  blob: Descriptor,
): Promise<void> {
  if ((await catalog.findBlob(repository, blob.digest)) !== undefined) return;
  const algorithm = digestAlgorithm(blob.digest);
  const upload = await catalog.startUpload(repository, algorithm);
  try {
    const file = createReadStream(join(directory, 'blobs', algorithm, digestHex(blob.digest)), {
      highWaterMark: 256 * 1024,
    }) as AsyncIterable<Buffer>;
    await catalog.blobs.append(upload.id, file, { algorithm, length: blob.size, signal });
    await catalog.finishUpload(repository, await catalog.blobs.seal(upload.id, algorithm));
  } catch (error) {
    await catalog.cancelUpload(upload.id);
    throw error;
  }
}

async function baseImage(
  catalog: Catalog,
  repository: RepositoryName,
  manifest: RemoteManifest,
  reference: string,
): Promise<BaseImage> {
  const { content } = parseManifest(manifest.content, manifest.mediaType);
  if (content.kind !== 'manifest') throw new KilnError('image-failed', `${reference} is no single image`);
  const layers = content.layers.map((layer) => ociLayer(layer, reference));
  const blob = await catalog.findBlob(repository, content.config.digest);
  if (blob === undefined) throw new KilnError('image-failed', `${reference} has no configuration`);
  const chunks = await Array.fromAsync(catalog.readBlob(blob, { start: 0, end: blob.size }));
  const config = parseImageConfig(Buffer.concat(chunks));
  if (config.diffIds.length !== layers.length) {
    throw new KilnError(
      'image-failed',
      `${reference} names ${layers.length} layers but the digests of ${config.diffIds.length}`,
      { where: 'image.base' },
    );
  }
  return { config, layers, digest: manifest.digest, name: reference };
}

function ociLayer(layer: ImageManifest['layers'][number], reference: string): Descriptor {
  const mediaType = ociLayerType(layer.mediaType);
  if (layerCompression(mediaType) !== undefined) return { mediaType, digest: layer.digest, size: layer.size };
  throw new KilnError('image-failed', `${reference} has a layer of the type ${layer.mediaType}`, {
    where: 'image.base',
    hint: 'Base images have layers as tar, with gzip or zstd.',
  });
}
