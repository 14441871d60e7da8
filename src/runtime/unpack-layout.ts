/** An image in an OCI layout: its configuration, and its layers unpacked into a root file system. */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { OciDigest } from '../base/brand.ts';
import { KilnError } from '../base/error.ts';
import { digestHex } from '../oci/digest.ts';
import { parseImageConfig, type ImageConfig } from '../oci/image-config.ts';
import { parseManifest } from '../oci/manifest.ts';
import { runChecked } from '../process/run-process.ts';

export interface LayoutImage {
  readonly config: ImageConfig;
  /** Unpacks the layers, lowest first, with the system's `tar`. Whiteouts are not applied: images of Kiln have none. */
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
        await runChecked(
          'tar',
          ['--extract', '--file', blob(layer.digest), '--directory', root, '--numeric-owner'],
          {
            ...(signal === undefined ? {} : { signal }),
            describe: (result) =>
              new KilnError('image-failed', `the layer ${layer.digest} cannot be unpacked`, {
                where: result.stderr.trim(),
              }),
          },
        );
      }
    },
  };
}
