/**
 * How likely each path of a closure changes with the next release. A path changes when its own definition changes or that of
 * anything it refers to, so chances are kept for *causes* and a path's chance is that of all its causes together.
 */
import type { StorePath } from '../base/brand.ts';
import type { Closure } from '../store/closure.ts';
import { nameOf } from '../store/store-path.ts';

/** The paths of each earlier revision of the same image, oldest first. */
export type PathHistory = readonly (readonly StorePath[])[];

/** The facts the planner works with; index `i` is the path `closure.paths[i]`. */
export interface ClosureGraph {
  readonly paths: readonly StorePath[];
  /** Names without their hash, so that a rebuilt path is the same thing again. */
  readonly names: readonly string[];
  readonly sizes: readonly number[];
  /** One bit per path: everything that path `i` reaches, and itself. `words` numbers of 32 bits each. */
  readonly reaches: readonly Uint32Array[];
  readonly words: number;
  /** −ln(1 − chance that the definition of path `i` itself changes). */
  readonly weights: Float64Array;
  /** Chance from 0 to 1 that path `i` changes. */
  readonly chances: Float64Array;
}

/** What is assumed of a path before any history: the program itself changes with half of all releases, the rest seldom. */
const ROOT_RATE = 0.5;
const OTHER_RATE = 0.01;
/** How many releases of history the assumption is worth. */
const PRIOR_STRENGTH = 12;
/** Learned rates move in steps of this factor, so that a plan does not shift with every release. */
const RATE_STEP = 8;

export function closureGraph(closure: Closure, history: PathHistory = []): ClosureGraph {
  const paths = closure.paths.map((info) => info.path);
  const names = paths.map(nameOf);
  const words = Math.ceil(paths.length / 32);
  const references = referencesByIndex(closure);
  const reaches = reachability(references, words);
  const weights = causeWeights(closure, names, references, history);
  const chances = Float64Array.from(reaches, (reach) => chanceOf(weightOf(reach, weights)));
  return { paths, names, sizes: closure.paths.map((info) => info.narSize), reaches, words, weights, chances };
}

/** Sum of the weights of the set bits. */
export function weightOf(bits: Uint32Array, weights: Float64Array): number {
  let sum = 0;
  for (let word = 0; word < bits.length; word++) sum += wordWeight(bits[word] ?? 0, word, weights);
  return sum;
}

/** Sum of the weights of the bits of one word. */
export function wordWeight(bits: number, word: number, weights: Float64Array): number {
  let sum = 0;
  let rest = bits;
  while (rest !== 0) {
    const bit = 31 - Math.clz32(rest & -rest);
    sum += weights[word * 32 + bit] ?? 0;
    rest &= rest - 1;
  }
  return sum;
}

export function chanceOf(weight: number): number {
  return 1 - Math.exp(-weight);
}

function referencesByIndex(closure: Closure): number[][] {
  const indexOf = new Map(closure.paths.map((info, index) => [info.path, index]));
  return closure.paths.map((info, index) =>
    info.references.flatMap((reference) => {
      const at = indexOf.get(reference);
      return at === undefined || at === index ? [] : [at];
    }),
  );
}

/** Store references have no cycles apart from references to oneself; a cycle in bad input is cut, not followed. */
function reachability(references: readonly number[][], words: number): Uint32Array[] {
  const done: (Uint32Array | undefined)[] = references.map(() => undefined);
  const entered = new Uint8Array(references.length);
  for (let start = 0; start < references.length; start++) {
    const stack = [start];
    while (stack.length > 0) {
      const at = stack[stack.length - 1] ?? 0;
      const pending = entered[at] === 1 ? [] : (references[at] ?? []).filter((next) => entered[next] === 0);
      entered[at] = 1;
      if (pending.length > 0) {
        stack.push(...pending);
        continue;
      }
      stack.pop();
      done[at] ??= union(at, references[at] ?? [], done, words);
    }
  }
  return done.map((bits) => bits ?? new Uint32Array(words));
}

function union(
  at: number,
  references: readonly number[],
  done: readonly (Uint32Array | undefined)[],
  words: number,
): Uint32Array {
  const bits = new Uint32Array(words);
  bits[at >> 5] = (bits[at >> 5] ?? 0) | (1 << (at & 31));
  for (const next of references) {
    const other = done[next];
    if (other === undefined) continue;
    for (let word = 0; word < words; word++) bits[word] = (bits[word] ?? 0) | (other[word] ?? 0);
  }
  return bits;
}

function causeWeights(
  closure: Closure,
  names: readonly string[],
  references: readonly number[][],
  history: PathHistory,
): Float64Array {
  const roots = new Set<string>(closure.roots);
  const causes = countCauses(names, references, [...history, closure.paths.map((info) => info.path)]);
  const steps = history.length;
  return Float64Array.from(names, (name, index) => {
    const prior = roots.has(closure.paths[index]?.path ?? '') ? ROOT_RATE : OTHER_RATE;
    const learned = ((causes.get(name) ?? 0) + prior * PRIOR_STRENGTH) / (steps + PRIOR_STRENGTH);
    const stepsAway = Math.round(Math.log(learned / prior) / Math.log(RATE_STEP));
    const rate = prior * RATE_STEP ** Math.max(0, stepsAway);
    return -Math.log(1 - Math.min(rate, 0.99));
  });
}

/** Counts, per name, the releases in which it changed while nothing it refers to did. */
function countCauses(
  names: readonly string[],
  references: readonly number[][],
  revisions: PathHistory,
): Map<string, number> {
  const causes = new Map<string, number>();
  for (let step = 1; step < revisions.length; step++) {
    const before = new Set<StorePath>(revisions[step - 1]);
    const known = new Set([...before].map(nameOf));
    const changed = new Set((revisions[step] ?? []).filter((path) => !before.has(path)).map(nameOf));
    names.forEach((name, index) => {
      if (!changed.has(name) || !known.has(name)) return;
      const caused = (references[index] ?? []).some(
        (next) => names[next] !== name && changed.has(names[next] ?? ''),
      );
      if (!caused) causes.set(name, (causes.get(name) ?? 0) + 1);
    });
  }
  return causes;
}
