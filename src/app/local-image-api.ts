/** Images of this process's registry: compared, exported, put together. */
import type { ExportFormat, ImageApi, ImageDifference } from '../api/image-api.ts';
import { KilnError } from '../base/error.ts';
import type { ImageDetails as StoredImage } from '../catalog/image-details.ts';
import { compareImages } from '../image/compare-images.ts';
import { exportArchive } from '../image/export-image.ts';
import { multiPlatformIndex } from '../image/multi-platform-index.ts';
import { layerCompression, OCI_INDEX } from '../oci/media-types.ts';
import type { Kiln } from './open-kiln.ts';
import { configBytes, ownReference, severalPlatforms, storedConfig, storedImage } from './stored-image.ts';

export function createLocalImageApi(kiln: Kiln, host: string): ImageApi {
  return {
    compare: (from, to) => compare(kiln, host, from, to),
    exportImage: (reference, format) => exportImage(kiln, host, reference, format),
    createIndex: (reference, members) => createIndex(kiln, host, reference, members),
  };
}

async function compare(kiln: Kiln, host: string, from: string, to: string): Promise<ImageDifference> {
  const catalog = await kiln.catalog();
  const [a, b] = await Promise.all(
    [from, to].map(async (reference) => {
      const own = ownReference(reference, host);
      const details = await storedImage(catalog, own);
      const config = await storedConfig(catalog, details);
      if (config === undefined) throw severalPlatforms(own.shown);
      return { shown: own.shown, layers: details.layerList, config };
    }),
  );
  if (a === undefined || b === undefined) throw new Error('Two images were asked for');
  return { from: a.shown, to: b.shown, ...compareImages(a, b) };
}

async function* exportImage(
  kiln: Kiln,
  host: string,
  reference: string,
  format: ExportFormat,
): AsyncGenerator<Uint8Array> {
  const catalog = await kiln.catalog();
  const own = ownReference(reference, host);
  const details = await storedImage(catalog, own);
  if (format === 'docker') checkDocker(details, own.shown);
  const { catalogSource } = await import('../registry/image-source.ts');
  const source = catalogSource(catalog, own.repository, own.tagOrDigest);
  // An archive has room for one name; a digest is none that a tool could load it by.
  const named = own.shown.includes('@')
    ? `${host}/${own.repository}:${details.digest.slice(7, 19)}`
    : own.shown;
  yield* exportArchive(source, { reference: named, signal: kiln.signal });
}

function checkDocker(details: StoredImage, shown: string): void {
  if (details.kind === 'index') throw severalPlatforms(shown);
  const zstd = details.layerList.find((layer) => layerCompression(layer.mediaType) === 'zstd');
  if (zstd === undefined) return;
  throw new KilnError('unsupported', `${shown} has layers with zstd, which Docker archives cannot hold`, {
    hint: 'Export it with --format oci; podman, skopeo and containerd read that.',
  });
}

async function createIndex(
  kiln: Kiln,
  host: string,
  reference: string,
  members: readonly string[],
): Promise<{ readonly digest: string }> {
  const catalog = await kiln.catalog();
  const target = ownReference(reference, host);
  const images = await Promise.all(
    members.map(async (member) => {
      const own = ownReference(member, host);
      const details = await storedImage(catalog, own);
      const config = await configBytes(catalog, details);
      if (config === undefined) throw severalPlatforms(own.shown);
      return { details, manifest: details.manifest, config };
    }),
  );
  const { index, digest } = multiPlatformIndex(images);
  for (const { details } of images) {
    if (details.repository === target.repository) continue;
    const blobs = [...(details.config === undefined ? [] : [details.config]), ...details.layerList];
    for (const blob of blobs)
      await catalog.mountBlob(target.repository, blob.digest, {
        from: details.repository,
        allowed: () => true,
      });
    await catalog.putManifest({
      repository: target.repository,
      content: details.manifest,
      mediaType: details.mediaType,
      tags: [],
    });
  }
  const tags = target.tagOrDigest.includes(':') ? [] : [target.tagOrDigest];
  await catalog.putManifest({ repository: target.repository, content: index, mediaType: OCI_INDEX, tags });
  return { digest };
}
