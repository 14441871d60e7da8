/** An image in an OCI layout: its configuration, and its layers unpacked into a root file system. */
import { createReadStream } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { OciDigest } from '../base/brand.ts';
import { KilnError } from '../base/error.ts';
import { digestHex } from '../oci/digest.ts';
import { parseImageConfig, type ImageConfig } from '../oci/image-config.ts';
import { parseManifest } from '../oci/manifest.ts';
import { layerCompression } from '../oci/media-types.ts';
import { unpackLayer } from './unpack-layer.ts';

export interface LayoutImage {
  readonly config: ImageConfig;
  /** Unpacks the layers, lowest first. */
  unpack(root: string, signal?: AbortSignal): Promise<void>;
}

/** @throws KilnError image-failed */
export async function openLayoutImage(directory: string, manifest: OciDigest): Promise<LayoutImage> {
  const blob = (digest: OciDigest): string => join(directory, 'blobs', 'sha256', digestHex(digest));
  const { content } = parseManifest(await readFile(blob(manifest)));
  if (content.kind !== 'manifest') {
    throw new KilnError('image-failed', `${manifest} is an index of several images; choose one of them`);
  }
  return {
    config: parseImageConfig(await readFile(blob(content.config.digest))),
    async unpack(root, signal) {
      await mkdir(root, { recursive: true });
      for (const layer of content.layers) {
        const compression = layerCompression(layer.mediaType);
        if (compression === undefined)
          throw new KilnError(
            'image-failed',
            `${layer.mediaType} is not a type of layer that can be unpacked`,
          );
        const bytes = createReadStream(blob(layer.digest)) as AsyncIterable<Buffer>;
        await unpackLayer(root, { bytes, compression, name: layer.digest }, signal);
      }
    },
  };
}
