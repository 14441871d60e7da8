/** One index over images of several platforms. Nothing of them is run or unpacked. */
import type { OciDigest } from '../base/brand.ts';
import { KilnError } from '../base/error.ts';
import { digestOf } from '../oci/digest.ts';
import { parseImageConfig } from '../oci/image-config.ts';
import { encodeIndex } from '../oci/image-index.ts';
import { OCI_MANIFEST } from '../oci/media-types.ts';

export interface PlatformImage {
  /** Exact bytes of the OCI manifest and configuration. */
  readonly manifest: Buffer;
  readonly config: Buffer;
}

/** Members are sorted by platform, so that their order decides nothing. @throws KilnError image-failed for a platform given twice */
export function multiPlatformIndex(
  images: readonly PlatformImage[],
  annotations?: Readonly<Record<string, string>>,
): { readonly index: Buffer; readonly digest: OciDigest } {
  const members = images.map(({ manifest, config }) => {
    const { os, architecture, variant } = parseImageConfig(config);
    const platform = { os, architecture, ...(variant === undefined ? {} : { variant }) };
    const key = [os, architecture, variant].filter(Boolean).join('/');
    return {
      key,
      descriptor: { mediaType: OCI_MANIFEST, digest: digestOf(manifest), size: manifest.length, platform },
    };
  });
  members.sort((a, b) => (a.key < b.key ? -1 : 1));
  const twice = members.find(({ key }, at) => members[at - 1]?.key === key);
  if (twice !== undefined) throw new KilnError('image-failed', `Two images are for ${twice.key}`);
  const manifests = members.map(({ descriptor }) => descriptor);
  const index = encodeIndex({ manifests, ...(annotations === undefined ? {} : { annotations }) });
  return { index, digest: digestOf(index) };
}
