/**
 * As a program: makes an image of each closure in turn, nothing known before the first, with a thread per processor it may
 * use, and prints `{ms, hashedBytes, digest}` of each as JSON lines.
 */
import { availableParallelism } from 'node:os';
import type { StorePath } from '../../src/base/brand.ts';
import { buildImage } from '../../src/image/build-image.ts';
import { LayerHasher } from '../../src/image/layer-hasher.ts';
import { nixOnPath } from '../../src/nix/nix-installation.ts';
import { openStoreDatabase } from '../../src/nix/open-store-database.ts';
import type { Layer } from '../../src/oci/layer-recipe.ts';

using store = openStoreDatabase(await nixOnPath());
await using hasher = new LayerHasher({ threads: availableParallelism() });
let layers: readonly Layer[] | undefined;
for (const root of process.argv.slice(2) as StorePath[]) {
  const started = performance.now();
  const closure = await store.closure([root]);
  const image = await buildImage(
    {
      closure,
      system: 'x86_64-linux',
      name: 'bench',
      settings: { entrypoint: ['/bin/true'] },
      ...(layers === undefined ? {} : { previous: { layers } }),
    },
    { hasher },
  );
  layers = image.layers;
  const { hashedBytes, manifestDigest: digest, reusedLayers } = image;
  console.log(
    JSON.stringify({
      ms: performance.now() - started,
      hashedBytes,
      reusedLayers,
      layers: layers.length,
      digest,
    }),
  );
}
