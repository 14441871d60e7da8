/** An image of one layer that holds one file: enough where a test is about transport, not about tar. */
import type { OciDigest } from '../../src/base/brand.ts';
import { digestOf } from '../../src/oci/digest.ts';
import { TAR_PROFILE, type LayerRecipe } from '../../src/oci/layer-recipe.ts';
import { encodeManifest } from '../../src/oci/manifest.ts';
import { OCI_CONFIG, OCI_LAYER_TAR, OCI_MANIFEST } from '../../src/oci/media-types.ts';

export interface LiteralImage {
  readonly manifest: Buffer;
  readonly config: Buffer;
  readonly layers: readonly {
    readonly digest: OciDigest;
    readonly size: number;
    readonly recipe: LayerRecipe;
  }[];
  /** Of the only layer. */
  readonly digest: OciDigest;
}

/** The registry must be opened with the literal reader, which gives `bytes` as the layer. */
export function literalImage(bytes: Buffer): LiteralImage {
  const digest = digestOf(bytes);
  const config = Buffer.from(
    JSON.stringify({ architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [digest] } }),
  );
  const manifest = encodeManifest({
    mediaType: OCI_MANIFEST,
    config: { mediaType: OCI_CONFIG, digest: digestOf(config), size: config.length },
    layers: [{ mediaType: OCI_LAYER_TAR, digest, size: bytes.length }],
  });
  const entry = {
    type: 'file',
    path: '/x',
    mode: 0o444,
    uid: 0,
    gid: 0,
    contentBase64: bytes.toString('base64'),
  } as const;
  const recipe = { profile: TAR_PROFILE, mtime: 1, entries: [entry] } as const;
  return { manifest, config, layers: [{ digest, size: bytes.length, recipe }], digest };
}
