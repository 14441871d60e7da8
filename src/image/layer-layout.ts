/** Offset table of a layer: which part of the recipe gives which bytes of the tar. */
import type { LayerRecipe, StoreEntry } from '../oci/layer-recipe.ts';
import { recipeParts } from '../oci/recipe-parts.ts';
import { paddedSize, TAR_TRAILER, type TarEntry, tarHeaderLength } from '../oci/tar-header.ts';
import { LayoutCache } from './layout-cache.ts';
import { TreeLayout } from './tree-layout.ts';
import type { StoreLocation } from './walk-store-path.ts';

export type LayoutPiece =
  | { readonly offset: number; readonly length: number; readonly entry: TarEntry; readonly content: Buffer }
  | { readonly offset: number; readonly length: number; readonly tree: TreeLayout };

export interface LayerLayout {
  /** In order, without gaps; the trailer follows. */
  readonly pieces: readonly LayoutPiece[];
  /** Bytes of the tar, with the trailer. */
  readonly size: number;
}

/** Trees of store paths that were walked lately. */
export class TreeCache {
  readonly #trees: LayoutCache<TreeLayout>;

  constructor(limit: number) {
    this.#trees = new LayoutCache(limit);
  }

  /** @throws KilnError store-path-missing, store-path-changed */
  get(entry: StoreEntry, mtime: number, location: StoreLocation): TreeLayout {
    const key = `${entry.path} ${mtime} ${JSON.stringify(entry.attributes ?? [])}`;
    return this.#trees.get(key, () => new TreeLayout(key, entry, mtime, location));
  }

  /** Drops a tree, so that the next reader looks at the store again. */
  forget(tree: TreeLayout): void {
    this.#trees.forget(tree.key);
  }
}

/** Synchronous: walks what the cache does not have. @throws KilnError store-path-missing, store-path-changed, invalid-input */
export function layerLayout(recipe: LayerRecipe, location: StoreLocation, cache: TreeCache): LayerLayout {
  const pieces: LayoutPiece[] = [];
  let offset = 0;
  for (const part of recipeParts(recipe)) {
    if (part.type === 'store-path') {
      const tree = cache.get(part.entry, recipe.mtime, location);
      pieces.push({ offset, length: tree.length, tree });
      offset += tree.length;
    } else {
      const length = tarHeaderLength(part.entry) + paddedSize(part.content.length);
      pieces.push({ offset, length, entry: part.entry, content: part.content });
      offset += length;
    }
  }
  return { pieces, size: offset + TAR_TRAILER };
}
