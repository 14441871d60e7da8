/** Names a layer by what decides its bytes, so that its digest can be known without reading any of them. */
import { canonicalJson, type Json } from '../base/canonical-json.ts';
import { digestOf } from '../oci/digest.ts';
import type { LayerRecipe, LiteralEntry, StoreEntry } from '../oci/layer-recipe.ts';

/** Digest of profile, times, and the sorted entries; a store path counts by its path and NAR hash. */
export function layerKey(recipe: LayerRecipe): string {
  const entries = recipe.entries.map(entryKey).sort(([, a], [, b]) => (a < b ? -1 : 1));
  return digestOf(canonicalJson({ profile: recipe.profile, mtime: recipe.mtime, entries }));
}

function entryKey(entry: StoreEntry | LiteralEntry): [string, string, Json] {
  if (entry.type === 'store-path') {
    const { path, narHash, attributes = [] } = entry;
    const exceptions = attributes.map(({ pattern, mtime, mode }) => ({ pattern, mtime, mode }));
    return ['store-path', path, exceptions.length === 0 ? narHash : { narHash, exceptions }];
  }
  const { type, path, ...rest } = entry;
  return [type, path, rest];
}
