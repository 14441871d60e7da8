/** Worker thread: hashes one layer per message with one buffer for all of them. */
import { parentPort, workerData } from 'node:worker_threads';
import { describeFailure } from '../base/error.ts';
import type { LayerRecipe } from '../oci/layer-recipe.ts';
import { hashLayer, layerBuffer } from './hash-layer.ts';
import type { StoreLocation } from './walk-store-path.ts';

const location = workerData as StoreLocation;
const buffer = layerBuffer();

parentPort?.on('message', (recipe: LayerRecipe) => {
  try {
    const onBytes = (bytes: number): void => parentPort?.postMessage({ bytes });
    parentPort?.postMessage({ hashed: hashLayer(recipe, location, buffer, onBytes) });
  } catch (error) {
    parentPort?.postMessage({ failure: describeFailure(error) });
  }
});
