/** Which store paths go together into which layer, so that the next release moves few bytes. */
import type { OciDigest, StorePath } from '../base/brand.ts';
import { canonicalJson } from '../base/canonical-json.ts';
import { KilnError } from '../base/error.ts';
import type { Closure } from '../store/closure.ts';
import { digestOf } from './digest.ts';
import { partition } from './layer-partition.ts';
import { closureGraph, type ClosureGraph, type PathHistory } from './volatility.ts';

const PLAN_ALGORITHM = 'kiln-layer-plan/1';
/** Layers that a plan aims at: runtimes allow about 127, and users build on top. */
export const LAYER_BUDGET = 64;
/** Layers that an image never exceeds. */
export const LAYER_CAP = 120;

/** Layers lowest first, each the sorted list of its paths. Recorded with the image: the same plan gives the same image. */
export interface LayerPlan {
  readonly algorithm: string;
  readonly layers: readonly (readonly StorePath[])[];
  /** Digest of the canonical JSON of `layers`. */
  readonly digest: OciDigest;
}

export interface PlanOptions {
  /** Most layers; default {@link LAYER_BUDGET}, at most {@link LAYER_CAP}. */
  readonly budget?: number;
  /** Path lists of the layers of the image's last revision, lowest first. Kept as they are where they still fit. */
  readonly existing?: readonly (readonly StorePath[])[];
  /** Earlier revisions of the same image. */
  readonly history?: PathHistory;
}

/**
 * Plans the layers of a closure. Without `existing` and `history` the plan is a function of the closure alone.
 * @throws KilnError invalid-input for a budget out of range
 */
export function planLayers(closure: Closure, options: PlanOptions = {}): LayerPlan {
  const budget = options.budget ?? LAYER_BUDGET;
  if (!Number.isInteger(budget) || budget < 1 || budget > LAYER_CAP) {
    throw new KilnError('invalid-input', `A plan has 1 to ${LAYER_CAP} layers, not ${budget}`);
  }
  const graph = closureGraph(closure, options.history);
  const kept = keepExisting(graph, options.existing ?? [], budget);
  const taken = new Set<StorePath>(kept.flat());
  const rest = graph.paths.flatMap((path, index) => (taken.has(path) ? [] : [index]));
  const fresh = partition(graph, rest, budget - kept.length);
  // Kept layers come first in their old order: runtimes share extracted layers only along a common prefix.
  return recordPlan([
    ...kept,
    ...fresh.map((layer) => layer.map((index) => graph.paths[index]).filter(isPath)),
  ]);
}

/** Makes a plan of path lists; each list is sorted, the order of the lists stays. */
export function recordPlan(
  layers: readonly (readonly StorePath[])[],
  algorithm: string = PLAN_ALGORITHM,
): LayerPlan {
  const sorted = layers.map((layer) => [...layer].sort((a, b) => (a < b ? -1 : 1)));
  return { algorithm, layers: sorted, digest: digestOf(canonicalJson(sorted)) };
}

/** Checks that a plan holds every path of the closure exactly once. @throws KilnError invalid-input */
export function checkPlan(plan: LayerPlan, closure: Closure): void {
  const left = new Set<StorePath>(closure.paths.map((info) => info.path));
  for (const path of plan.layers.flat()) {
    if (!left.delete(path))
      throw new KilnError('invalid-input', `The layer plan names ${path} twice, or it is not in the closure`);
  }
  const [missing] = left;
  if (missing !== undefined) throw new KilnError('invalid-input', `The layer plan leaves out ${missing}`);
  if (plan.layers.length > LAYER_CAP)
    throw new KilnError('invalid-input', `The layer plan has more than ${LAYER_CAP} layers`);
}

/**
 * Picks existing layers whose paths all lie in the closure, the largest first, without overlap. A share of the budget stays
 * free for what is new, so that layers kept from release to release cannot use it up.
 */
function keepExisting(
  graph: ClosureGraph,
  existing: readonly (readonly StorePath[])[],
  budget: number,
): StorePath[][] {
  const sizeOf = new Map(graph.paths.map((path, index) => [path, graph.sizes[index] ?? 0]));
  const usable = existing
    .map((layer, order) => ({
      layer,
      order,
      size: layer.reduce((sum, path) => sum + (sizeOf.get(path) ?? 0), 0),
    }))
    .filter(({ layer }) => layer.length > 0 && layer.every((path) => sizeOf.has(path)))
    .sort((a, b) => b.size - a.size || a.order - b.order);
  const taken = new Set<StorePath>();
  const kept: typeof usable = [];
  const complete = (): boolean => taken.size === graph.paths.length;
  for (const candidate of usable) {
    if (candidate.layer.some((path) => taken.has(path))) continue;
    kept.push(candidate);
    for (const path of candidate.layer) taken.add(path);
  }
  const reserve = complete() ? 0 : Math.max(1, Math.floor(budget / 4));
  return kept
    .slice(0, budget - reserve)
    .sort((a, b) => a.order - b.order)
    .map(({ layer }) => [...layer]);
}

function isPath(path: StorePath | undefined): path is StorePath {
  return path !== undefined;
}
