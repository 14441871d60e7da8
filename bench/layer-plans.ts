/**
 * Compares layer plans over successive releases of an image: bytes that travel per release and layers.
 *
 *   node bench/layer-plans.ts [CLOSURES.json]
 *
 * CLOSURES.json: a list of closures, one per release, oldest first, each `{"roots": […], "paths": [{"path", "narSize",
 * "references"}]}`. Without it 30 releases are made up: the program changes in every second one, some library in most, and whatever
 * refers to what changed is rebuilt, as Nix does it.
 */
import { readFileSync } from 'node:fs';
import type { NarHash, StorePath } from '../src/base/brand.ts';
import { formatBytes } from '../src/base/units.ts';
import { choosePlan } from '../src/oci/choose-plan.ts';
import { planLayers } from '../src/oci/layer-plan.ts';
import { closureSize, type Closure, type PathInfo } from '../src/store/closure.ts';

type Layers = readonly (readonly StorePath[])[];
type Planner = (closure: Closure, earlier: readonly Closure[], previous: Layers | undefined) => Layers;

const PLANNERS: Readonly<Record<string, Planner>> = {
  'one layer': (closure) => [closure.paths.map((info) => info.path)],
  'a layer per path (the limit)': (closure) => closure.paths.map((info) => [info.path]),
  'popularity contest, 100 layers': (closure) => popularity(closure, 100),
  'cohorts (auto-layer), 100 layers': (closure) => cohorts(closure, 100),
  'cohorts (auto-layer), 64 layers': (closure) => cohorts(closure, 64),
  'kiln, each plan fresh, 64 layers': (closure) => planLayers(closure).layers,
  'kiln, fresh unless it costs much': (closure, earlier, previous) =>
    choosePlan(closure, {
      budget: 64,
      existing: previous ?? [],
      history: earlier.map((revision) => revision.paths.map((info) => info.path)),
    }).plan.layers,
  'kiln, kept layers, 64': (closure, earlier, previous) =>
    planLayers(closure, {
      existing: previous ?? [],
      history: earlier.map((revision) => revision.paths.map((info) => info.path)),
    }).layers,
};

const file = process.argv[2];
const releases = file === undefined ? madeUp(30) : (JSON.parse(readFileSync(file, 'utf8')) as Closure[]);
const last = releases.at(-1);
console.log(
  `${releases.length} releases; the last has ${last?.paths.length} paths, ${formatBytes(last === undefined ? 0 : closureSize(last))}`,
);
for (const [name, planner] of Object.entries(PLANNERS)) console.log(measure(name, planner));

/** A layer travels when the target does not have one of exactly these paths from any earlier release. */
function measure(name: string, planner: Planner): string {
  const there = new Set<string>();
  let [moved, most, milliseconds] = [0, 0, 0];
  let previous: Layers | undefined;
  releases.forEach((closure, release) => {
    const sizes = new Map(closure.paths.map((info) => [info.path, info.narSize]));
    const started = performance.now();
    const layers = planner(closure, releases.slice(0, release), previous);
    milliseconds += performance.now() - started;
    for (const layer of layers) {
      const key = [...layer].sort().join(' ');
      if (!there.has(key) && release > 0)
        moved += layer.reduce((sum, path) => sum + (sizes.get(path) ?? 0), 0);
      there.add(key);
    }
    most = Math.max(most, layers.length);
    previous = layers;
  });
  const count = releases.length - 1;
  const perRelease = formatBytes(moved / count).padStart(10);
  return `${name.padEnd(34)} ${perRelease} per release  ${String(most).padStart(3)} layers  ${(milliseconds / releases.length).toFixed(1)} ms per plan`;
}

/** Single layers for the paths that most ways lead to, one layer for the rest. */
function popularity(closure: Closure, limit: number): Layers {
  const counts = new Map<StorePath, number>();
  for (const info of usersFirst(closure)) {
    for (const next of info.references) {
      if (next !== info.path) counts.set(next, (counts.get(next) ?? 0) + (counts.get(info.path) ?? 0) + 1);
    }
  }
  const ranked = closure.paths
    .map((info) => info.path)
    .sort((a, b) => (counts.get(b) ?? 0) - (counts.get(a) ?? 0) || (a.slice(44) < b.slice(44) ? -1 : 1));
  const rest = ranked.slice(limit - 1);
  return [...ranked.slice(0, limit - 1).map((path) => [path]), ...(rest.length === 0 ? [] : [rest])];
}

/** Takes the largest paths one after the other; what is needed by the same ones of them makes a layer. */
function cohorts(closure: Closure, limit: number): Layers {
  const needs = new Map<StorePath, Set<StorePath>>();
  for (const info of [...usersFirst(closure)].reverse()) {
    const all = new Set<StorePath>([info.path]);
    for (const next of info.references) for (const path of needs.get(next) ?? []) all.add(path);
    needs.set(info.path, all);
  }
  const split = new Map<StorePath, Set<StorePath>>(closure.paths.map((info) => [info.path, new Set()]));
  let layers: Layers = [closure.paths.map((info) => info.path)];
  for (const { path } of [...closure.paths].sort((a, b) => b.narSize - a.narSize)) {
    split.set(path, new Set([path]));
    const mine = needs.get(path) ?? new Set();
    for (const need of mine) {
      const owners = split.get(need);
      if (need === path || owners === undefined) continue;
      for (const owner of owners) if (needs.get(owner)?.has(path) === true) owners.delete(owner);
      if (![...owners].some((owner) => mine.has(owner))) owners.add(path);
    }
    const classes = new Map<string, StorePath[]>();
    for (const [member, owners] of split) {
      const key = [...owners].sort().join(' ');
      classes.set(key, [...(classes.get(key) ?? []), member]);
    }
    if (classes.size > limit) break;
    layers = [...classes.values()];
  }
  return layers;
}

function usersFirst(closure: Closure): PathInfo[] {
  const byPath = new Map(closure.paths.map((info) => [info.path, info]));
  const done = new Set<StorePath>();
  const order: PathInfo[] = [];
  const visit = (path: StorePath): void => {
    const info = byPath.get(path);
    if (info === undefined || done.has(path)) return;
    done.add(path);
    for (const next of info.references) visit(next);
    order.push(info);
  };
  for (const info of closure.paths) visit(info.path);
  return order.reverse();
}

/** 240 paths in the proportions of a web application: few large, many small, a deep chain of libraries below. */
function madeUp(count: number): Closure[] {
  const random = generator(7);
  const nodes = Array.from({ length: 240 }, (_, index) => ({
    size: Math.round(Math.exp(8 + random() * 9)),
    references: [
      ...new Set(
        Array.from({ length: Math.min(index, 1 + Math.floor(random() * 5)) }, () =>
          Math.floor(index * random() ** 1.5),
        ),
      ),
    ],
    rate: index === 239 ? 0.5 : 0.002 + 0.06 * random() ** 6,
    version: 0,
  }));
  nodes.at(-1)?.references.push(...Array.from({ length: 60 }, (_, index) => 238 - index));
  return Array.from({ length: count }, () => {
    for (const node of nodes) if (random() < node.rate) node.version++;
    const hashes: string[] = [];
    for (const [index, node] of nodes.entries()) {
      hashes.push(hash32(`${index} ${node.version} ${node.references.map((at) => hashes[at]).join(' ')}`));
    }
    const path = (at: number): StorePath => `/nix/store/${hashes[at]}-package${at}` as StorePath;
    const paths = nodes.map((node, index): PathInfo => ({
      path: path(index),
      narHash: `sha256:${hashes[index]}` as NarHash,
      narSize: node.size,
      references: [...new Set(node.references.map(path))].sort(),
      signatures: [],
      registrationTime: 0,
      ultimate: false,
    }));
    return { roots: [path(239)], paths: paths.sort((a, b) => (a.path < b.path ? -1 : 1)) };
  });
}

function hash32(text: string): string {
  let [a, b] = [0x811c9dc5, 0x1b873593];
  for (let index = 0; index < text.length; index++) {
    a = Math.imul(a ^ text.charCodeAt(index), 0x01000193);
    b = Math.imul(b ^ text.charCodeAt(index), 0x85ebca6b) ^ (b >>> 13);
  }
  return `${(a >>> 0).toString(16).padStart(8, '0')}${(b >>> 0).toString(16).padStart(8, '0')}`.padEnd(
    32,
    '0',
  );
}

/** Numbers from 0 to 1 that are the same in every run. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
