/** An image of one layer that holds one file, and nothing of the store. */
import { layerLayout, TreeCache } from '../../src/image/layer-layout.ts';
import { readRange } from '../../src/image/read-range.ts';
import { REAL_STORE } from '../../src/image/walk-store-path.ts';
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
  /** The tar of the only layer, its digest. */
  readonly content: Buffer;
  readonly digest: OciDigest;
}

export function literalImage(bytes: Buffer): LiteralImage {
  const entry = {
    type: 'file',
    path: '/x',
    mode: 0o444,
    uid: 0,
    gid: 0,
    contentBase64: bytes.toString('base64'),
  } as const;
  const recipe = { profile: TAR_PROFILE, mtime: 1, entries: [entry] } as const;
  const layout = layerLayout(recipe, REAL_STORE, new TreeCache(0));
  const content = Buffer.concat([...readRange(layout, 0, layout.size, REAL_STORE)]);
  const digest = digestOf(content);
  const config = Buffer.from(
    JSON.stringify({ architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [digest] } }),
  );
  const manifest = encodeManifest({
    mediaType: OCI_MANIFEST,
    config: { mediaType: OCI_CONFIG, digest: digestOf(config), size: config.length },
    layers: [{ mediaType: OCI_LAYER_TAR, digest, size: content.length }],
  });
  return { manifest, config, layers: [{ digest, size: content.length, recipe }], content, digest };
}
