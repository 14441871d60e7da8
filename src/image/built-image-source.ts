/** A freshly built image as a source for exports, before or without being published. */
import type { OciDigest } from '../base/brand.ts';
import { KilnError } from '../base/error.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { OCI_MANIFEST } from '../oci/media-types.ts';
import type { BuiltImage } from './build-image.ts';
import type { ExportSource } from './export-image.ts';
import type { LayerReader } from './layer-reader.ts';

/** Layers of a base image are not part of it: export those from the catalog. */
export function builtImageSource(image: BuiltImage, reader: LayerReader): ExportSource {
  const root = { digest: image.manifestDigest, mediaType: OCI_MANIFEST, content: image.manifest };
  return {
    root: () => Promise.resolve(root),
    manifest: (digest: OciDigest) => Promise.resolve(digest === root.digest ? root : undefined),
    async *openBlob(blob: Descriptor, start: number, signal?: AbortSignal) {
      if (blob.digest === image.configDigest) {
        yield image.config.subarray(start);
        return;
      }
      const layer = image.layers.find(({ digest }) => digest === blob.digest);
      if (layer === undefined)
        throw new KilnError('not-found', `The image was built without the bytes of ${blob.digest}`);
      yield* await reader.open(layer, { start, ...(signal === undefined ? {} : { signal }) });
    },
  };
}
