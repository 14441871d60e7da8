/**
 * Cuts an ordered list of paths into layers at the least expected cost: Σ size · (chance that the layer changes) + a constant
 * per layer. Paths that change for the same reasons stand next to each other, stable ones first.
 */
import { chanceOf, type ClosureGraph, wordWeight } from './volatility.ts';

/** What one more layer costs: about one round trip (50 ms at 10 MiB/s), as bytes. */
const LAYER_COST = 0.5 * 2 ** 20;
/** Smaller things are joined with their neighbours of the same cohort before cuts are looked for. */
const UNIT_FLOOR = 2 ** 20;
/** Larger layers are avoided, so that a client can pull several at once. */
const LAYER_CEILING = 512 * 2 ** 20;
/** Units that cuts are looked for between; bounds the work for a closure of thousands of paths. */
const MAX_UNITS = 400;

interface Unit {
  readonly members: number[];
  readonly size: number;
  readonly reach: Uint32Array;
  readonly cohort: string;
}

/** Splits the paths `rest` (indexes into the graph) into at most `budget` layers, stable first. */
export function partition(graph: ClosureGraph, rest: readonly number[], budget: number): number[][] {
  if (rest.length === 0) return [];
  const units = makeUnits(graph, rest);
  const costs = runCosts(graph, units);
  const layers = cut(units.length, costs, Math.max(1, budget));
  return layers.map(([from, to]) => units.slice(from, to).flatMap((unit) => unit.members));
}

/**
 * Sorts by how often a path changes (by thresholds, each the double of the one before), then by which likely causes it has, then
 * by name. Nothing depends on a rank or a hash, so that one new path moves no other border.
 */
function makeUnits(graph: ClosureGraph, rest: readonly number[]): Unit[] {
  const likely = graph.paths.flatMap((_, index) =>
    (graph.weights[index] ?? 0) > LIKELY_CAUSE ? [index] : [],
  );
  const cohort = new Map(rest.map((index) => [index, cohortOf(graph, index, likely)]));
  const sorted = [...rest].sort((a, b) => {
    const byCohort = compare(cohort.get(a) ?? '', cohort.get(b) ?? '');
    return (
      byCohort ||
      compare(graph.names[a] ?? '', graph.names[b] ?? '') ||
      compare(graph.paths[a] ?? '', graph.paths[b] ?? '')
    );
  });
  for (let floor = UNIT_FLOOR; ; floor *= 2) {
    const units = joinSmall(graph, sorted, cohort, floor);
    if (units.length <= MAX_UNITS || floor > LAYER_CEILING) return units;
  }
}

/** Bucket of the chance, and the likely causes by name. Sorts as text. */
function cohortOf(graph: ClosureGraph, index: number, likely: readonly number[]): string {
  const chance = graph.chances[index] ?? 0;
  const bucket = Math.max(0, 20 + Math.floor(Math.log2(Math.max(chance, 1e-6))));
  const reach = graph.reaches[index];
  const causes = likely
    .filter((cause) => ((reach?.[cause >> 5] ?? 0) & (1 << (cause & 31))) !== 0)
    .map((cause) => graph.names[cause] ?? '');
  return `${String(bucket).padStart(2, '0')} ${causes.sort(compare).join(' ')}`;
}

/** A definition that changes with more than about one release in twelve sets its dependents apart from others. */
const LIKELY_CAUSE = 0.08;

function joinSmall(
  graph: ClosureGraph,
  sorted: readonly number[],
  cohort: ReadonlyMap<number, string>,
  floor: number,
): Unit[] {
  const units: Unit[] = [];
  for (const index of sorted) {
    const size = graph.sizes[index] ?? 0;
    const reach = graph.reaches[index] ?? new Uint32Array(graph.words);
    const last = units.at(-1);
    const mine = cohort.get(index) ?? '';
    const joins =
      last !== undefined && (last.cohort === mine || floor > UNIT_FLOOR) && last.size + size <= floor;
    if (!joins) units.push({ members: [index], size, reach, cohort: mine });
    else {
      last.members.push(index);
      units[units.length - 1] = {
        members: last.members,
        size: last.size + size,
        reach: merge(last.reach, reach),
        cohort: mine,
      };
    }
  }
  return units;
}

function merge(a: Uint32Array, b: Uint32Array): Uint32Array {
  return a.map((word, index) => word | (b[index] ?? 0));
}

/** `costs[from · n + to − 1]`: expected bytes of a layer of the units `from … to − 1`. */
function runCosts(graph: ClosureGraph, units: readonly Unit[]): Float64Array {
  const count = units.length;
  const costs = new Float64Array(count * count);
  const reached = new Uint32Array(graph.words);
  for (let from = 0; from < count; from++) {
    reached.fill(0);
    let weight = 0;
    let size = 0;
    for (let to = from; to < count; to++) {
      const unit = units[to];
      if (unit === undefined) break;
      for (let word = 0; word < graph.words; word++) {
        const fresh = (unit.reach[word] ?? 0) & ~(reached[word] ?? 0);
        if (fresh === 0) continue;
        weight += wordWeight(fresh, word, graph.weights);
        reached[word] = (reached[word] ?? 0) | fresh;
      }
      size += unit.size;
      const tooLarge = size > LAYER_CEILING && to > from ? size - LAYER_CEILING : 0;
      costs[from * count + to] = size * chanceOf(weight) + tooLarge + LAYER_COST;
    }
  }
  return costs;
}

/** The cheapest way to cut `count` units into at most `budget` runs, as `[from, to)` pairs. */
function cut(count: number, costs: Float64Array, budget: number): [number, number][] {
  const free = cheapest(count, costs);
  if (free.length <= budget) return free;
  const rows = Math.min(budget, count);
  const from = Array.from({ length: rows + 1 }, () => new Int32Array(count + 1));
  let row = new Float64Array(count + 1).fill(Infinity);
  row[0] = 0;
  for (let used = 1; used <= rows; used++) {
    const next = new Float64Array(count + 1).fill(Infinity);
    for (let to = 1; to <= count; to++) {
      for (let start = used - 1; start < to; start++) {
        const cost = (row[start] ?? Infinity) + (costs[start * count + to - 1] ?? 0);
        if (cost < (next[to] ?? Infinity)) {
          next[to] = cost;
          from[used]?.fill(start, to, to + 1);
        }
      }
    }
    row = next;
  }
  const runs: [number, number][] = [];
  for (let used = rows, to = count; to > 0; used--) {
    const start = from[used]?.[to] ?? 0;
    runs.unshift([start, to]);
    to = start;
  }
  return runs;
}

/** The same without a bound on the number of runs, which one pass answers. */
function cheapest(count: number, costs: Float64Array): [number, number][] {
  const best = new Float64Array(count + 1).fill(Infinity);
  const from = new Int32Array(count + 1);
  best[0] = 0;
  for (let to = 1; to <= count; to++) {
    for (let start = 0; start < to; start++) {
      const cost = (best[start] ?? Infinity) + (costs[start * count + to - 1] ?? 0);
      if (cost < (best[to] ?? Infinity)) {
        best[to] = cost;
        from[to] = start;
      }
    }
  }
  const runs: [number, number][] = [];
  for (let to = count; to > 0; to = from[to] ?? 0) runs.unshift([from[to] ?? 0, to]);
  return runs;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
