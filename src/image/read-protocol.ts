/** Messages between a reader of layers and NARs and its worker threads. */
import type { NarHash, StorePath } from '../base/brand.ts';
import type { Failure } from '../base/error.ts';
import type { LayerRecipe } from '../oci/layer-recipe.ts';
import type { StoreLocation } from './walk-store-path.ts';

export interface ReadWorkerData {
  readonly location: StoreLocation;
  /** Bytes of offset tables that are kept. */
  readonly cacheBytes: number;
}

/** What bytes are made of. `narHash` names the content that an offset table was made for. */
export type ReadSource =
  | { readonly type: 'layer'; readonly recipe: LayerRecipe }
  | { readonly type: 'nar'; readonly path: StorePath; readonly narHash: NarHash }
  | { readonly type: 'listing'; readonly path: StorePath };

export type ReadCommand =
  | {
      readonly type: 'open';
      readonly id: number;
      readonly source: ReadSource;
      readonly start: number;
      readonly end?: number;
      readonly expectedSize?: number;
    }
  | { readonly type: 'pull'; readonly id: number; readonly count: number }
  | { readonly type: 'close'; readonly id: number };

export type ReadAnswer =
  | { readonly type: 'opened'; readonly id: number; readonly size: number; readonly end: number }
  | { readonly type: 'chunk'; readonly id: number; readonly bytes: Uint8Array }
  | { readonly type: 'end'; readonly id: number }
  | { readonly type: 'failure'; readonly id: number; readonly failure: Failure };
