/** Digests of recipes: from earlier layers, from the database, and only then by reading. */
import type { Database } from '../db/database.ts';
import type { Layer, LayerRecipe } from '../oci/layer-recipe.ts';
import type { HashedLayer } from './hash-layer.ts';
import { findLayerDigests, insertLayerDigest } from './layer-digest-queries.ts';
import { contentSize, type LayerHasher } from './layer-hasher.ts';
import { layerKey } from './layer-key.ts';

export interface HashProgress {
  readonly layersDone: number;
  readonly layersToHash: number;
  /** Bytes hashed so far, of about `totalBytes`. */
  readonly hashedBytes: number;
  readonly totalBytes: number;
}

export interface HashLayersOptions {
  readonly hasher: LayerHasher;
  readonly db?: Database;
  /** Layers whose digests are known, such as those of the last revision. */
  readonly known?: readonly Layer[];
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: HashProgress) => void;
}

export interface HashedLayers {
  /** In the order of the recipes. */
  readonly layers: readonly Layer[];
  /** Layers whose digest was known. */
  readonly reused: number;
  /** Bytes that had to be read. */
  readonly hashedBytes: number;
}

/** @throws KilnError store-path-missing, store-path-changed */
export async function hashLayers(
  recipes: readonly LayerRecipe[],
  options: HashLayersOptions,
): Promise<HashedLayers> {
  const keys = recipes.map(layerKey);
  const digests = new Map<string, HashedLayer>();
  for (const { recipe, digest, size } of options.known ?? []) digests.set(layerKey(recipe), { digest, size });
  const unknown = (): number[] => keys.flatMap((key, index) => (digests.has(key) ? [] : [index]));
  if (options.db !== undefined) {
    const found = await findLayerDigests(
      options.db,
      unknown().map((index) => keys[index] ?? ''),
    );
    for (const [key, layer] of found) digests.set(key, layer);
  }
  const missing = unknown();
  const hashedBytes = await hashMissing(recipes, keys, missing, digests, options);
  const layers = recipes.map((recipe, index) => {
    const hashed = digests.get(keys[index] ?? '');
    if (hashed === undefined) throw new Error('A layer was not hashed');
    return { digest: hashed.digest, size: hashed.size, recipe };
  });
  return { layers, reused: recipes.length - missing.length, hashedBytes };
}

/** Each result is stored as soon as it is there, so that a build that is cut off has not hashed in vain. */
async function hashMissing(
  recipes: readonly LayerRecipe[],
  keys: readonly string[],
  missing: readonly number[],
  digests: Map<string, HashedLayer>,
  options: HashLayersOptions,
): Promise<number> {
  const stored: Promise<void>[] = [];
  const wanted = missing.flatMap((index) => recipes[index] ?? []);
  const totalBytes = wanted.reduce((sum, recipe) => sum + contentSize(recipe), 0);
  const read = wanted.map(() => 0);
  let layersDone = 0;
  const report = (at: number, bytes: number): void => {
    read[at] = bytes;
    const hashedBytes = read.reduce((sum, part) => sum + part, 0);
    options.onProgress?.({ layersDone, layersToHash: missing.length, hashedBytes, totalBytes });
  };
  const onHashed = (at: number, layer: HashedLayer): void => {
    const key = keys[missing[at] ?? -1] ?? '';
    digests.set(key, layer);
    layersDone++;
    if (options.db !== undefined) stored.push(insertLayerDigest(options.db, key, layer));
    report(at, layer.size);
  };
  try {
    const { signal } = options;
    await options.hasher.hash(wanted, {
      onHashed,
      onBytes: report,
      ...(signal === undefined ? {} : { signal }),
    });
  } finally {
    await Promise.allSettled(stored);
  }
  await Promise.all(stored);
  return read.reduce((sum, part) => sum + part, 0);
}
