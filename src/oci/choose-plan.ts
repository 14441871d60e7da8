/** Which of two plans an image gets: one that any machine would make, or one that keeps the layers of the release before. */
import type { StorePath } from '../base/brand.ts';
import type { Closure } from '../store/closure.ts';
import { type LayerPlan, planLayers } from './layer-plan.ts';
import { chanceOf, closureGraph, type PathHistory, weightOf } from './volatility.ts';

export interface PlanChoice {
  readonly plan: LayerPlan;
  /** `fresh`: a function of the closure alone. `kept`: depends on the releases before. */
  readonly kind: 'fresh' | 'kept';
  /** Bytes of store paths in layers that the release before does not have. */
  readonly newBytes: number;
  /** The same for the plan that was not taken; undefined where there was no choice. */
  readonly otherNewBytes?: number;
}

export interface PlanChoiceOptions {
  /** Most layers. */
  readonly budget: number;
  /** Path lists of the layers of the last release, lowest first. */
  readonly existing: readonly (readonly StorePath[])[];
  readonly history: PathHistory;
}

/** Less than a round trip's worth is never worth another digest. */
const LEAST_SAVING = 0.5 * 2 ** 20;
const MOST_WASTE = 8 * 2 ** 20;
const WASTE_SHARE = 0.05;

/**
 * Prefers the plan that follows from the closure alone: then the same closure has the same digest on every machine. The other is
 * taken where it saves noticeably (8 MiB, or 5 % of the image), counted over this release and what is to be expected of the next.
 */
export function choosePlan(closure: Closure, options: PlanChoiceOptions): PlanChoice {
  const { budget, existing, history } = options;
  const fresh = planLayers(closure, { budget });
  const sizes = new Map(closure.paths.map((info) => [info.path, info.narSize]));
  const known = new Set(existing.map(layerName));
  const newBytes = (plan: LayerPlan): number =>
    plan.layers.reduce((sum, layer) => sum + (known.has(layerName(layer)) ? 0 : sizeOf(layer, sizes)), 0);
  if (existing.length === 0) return { plan: fresh, kind: 'fresh', newBytes: newBytes(fresh) };
  const kept = planLayers(closure, { budget, existing, history });
  const graph = closureGraph(closure, history);
  const indexOf = new Map(graph.paths.map((path, index) => [path, index]));
  const nextBytes = (plan: LayerPlan): number =>
    plan.layers.reduce((sum, layer) => {
      const reach = new Uint32Array(graph.words);
      for (const path of layer) {
        const bits = graph.reaches[indexOf.get(path) ?? -1];
        bits?.forEach((word, at) => (reach[at] = (reach[at] ?? 0) | word));
      }
      return sum + sizeOf(layer, sizes) * chanceOf(weightOf(reach, graph.weights));
    }, 0);
  const total = [...sizes.values()].reduce((sum, size) => sum + size, 0);
  const tolerated = Math.max(LEAST_SAVING, Math.min(MOST_WASTE, total * WASTE_SHARE));
  const saving = newBytes(fresh) + nextBytes(fresh) - newBytes(kept) - nextBytes(kept);
  return saving > tolerated
    ? { plan: kept, kind: 'kept', newBytes: newBytes(kept), otherNewBytes: newBytes(fresh) }
    : { plan: fresh, kind: 'fresh', newBytes: newBytes(fresh), otherNewBytes: newBytes(kept) };
}

/** What plans are compared by: sorted paths. */
function layerName(layer: readonly StorePath[]): string {
  return [...layer].sort().join(' ');
}

function sizeOf(layer: readonly StorePath[], sizes: ReadonlyMap<StorePath, number>): number {
  return layer.reduce((sum, path) => sum + (sizes.get(path) ?? 0), 0);
}
