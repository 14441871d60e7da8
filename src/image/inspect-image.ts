/** What an image is made of, by layer, by package and by path, and what is new in it. Pure. */
import type { OciDigest, StorePath } from '../base/brand.ts';
import type { LayerRecipe, StoreEntry } from '../oci/layer-recipe.ts';
import type { Closure } from '../store/closure.ts';
import { whyDepends } from '../store/closure-graph.ts';
import { nameOf } from '../store/store-path.ts';

export interface LayerFacts {
  readonly digest: OciDigest;
  /** Bytes as stored. */
  readonly size: number;
  readonly recipe?: LayerRecipe;
}

export interface InspectedLayer {
  readonly digest: OciDigest;
  readonly size: number;
  readonly paths: readonly StorePath[];
  /** `files`: written by Kiln. `foreign`: of a base image, or pushed by another tool. */
  readonly kind: 'store-paths' | 'files' | 'foreign';
  /** The release before does not have it. */
  readonly isNew: boolean;
}

export interface InspectedPackage {
  readonly name: string;
  /** Of its paths, usually one. */
  readonly versions: readonly string[];
  /** NAR bytes. */
  readonly size: number;
  readonly paths: readonly StorePath[];
}

export interface InspectedPath {
  readonly path: StorePath;
  /** NAR bytes. */
  readonly size: number;
  /** Place of its layer, from 1. */
  readonly layer: number;
  /** The release before does not have it. */
  readonly isNew: boolean;
  /** A shortest chain of references from an output of the build, both included; empty where the store does not know. */
  readonly why: readonly StorePath[];
}

export interface Inspection {
  readonly layers: readonly InspectedLayer[];
  /** Bytes of new layers. */
  readonly newBytes: number;
  /** Largest first. */
  readonly packages: readonly InspectedPackage[];
  /** Large ones, largest first. */
  readonly paths: readonly InspectedPath[];
}

const LARGE = 2 ** 20;
const MOST_PATHS = 100;
const LEAST_PATHS = 10;

/**
 * @param previous layers of the release before; undefined: all is new
 * @param closure of the build's outputs, where the store still has them
 */
export function inspectImage(
  layers: readonly LayerFacts[],
  previous: readonly LayerFacts[] | undefined,
  closure: Closure | undefined,
): Inspection {
  const knownLayers = new Set(previous?.map((layer) => layer.digest));
  const knownPaths = new Set(previous?.flatMap(storeEntries).map((entry) => entry.path));
  const inspected = layers.map((layer): InspectedLayer => {
    const paths = storeEntries(layer).map((entry) => entry.path);
    const kind = layer.recipe === undefined ? 'foreign' : paths.length === 0 ? 'files' : 'store-paths';
    return { digest: layer.digest, size: layer.size, paths, kind, isNew: !knownLayers.has(layer.digest) };
  });
  const entries = layers.flatMap((layer, at) =>
    storeEntries(layer).map((entry) => ({ entry, layer: at + 1 })),
  );
  const sorted = entries.sort(
    (a, b) => b.entry.narSize - a.entry.narSize || (a.entry.path < b.entry.path ? -1 : 1),
  );
  const large = sorted
    .filter(({ entry }, at) => at < LEAST_PATHS || entry.narSize >= LARGE)
    .slice(0, MOST_PATHS);
  return {
    layers: inspected,
    newBytes: inspected.reduce((sum, layer) => sum + (layer.isNew ? layer.size : 0), 0),
    packages: packagesOf(layers),
    paths: large.map(({ entry, layer }) => ({
      path: entry.path,
      size: entry.narSize,
      layer,
      isNew: !knownPaths.has(entry.path),
      why: chainTo(closure, entry.path),
    })),
  };
}

/** Paths by the name before the version, so that the outputs of a package count together. */
export function packagesOf(layers: readonly LayerFacts[]): InspectedPackage[] {
  const groups = new Map<string, StoreEntry[]>();
  for (const entry of layers.flatMap(storeEntries)) {
    const { name } = packageName(entry.path);
    groups.set(name, [...(groups.get(name) ?? []), entry]);
  }
  return [...groups]
    .map(([name, entries]) => ({
      name,
      versions: [...new Set(entries.flatMap((entry) => packageName(entry.path).version ?? []))].sort(),
      size: entries.reduce((sum, entry) => sum + entry.narSize, 0),
      paths: entries.map((entry) => entry.path).sort(),
    }))
    .sort((a, b) => b.size - a.size || (a.name < b.name ? -1 : 1));
}

/** `openssl-3.0.14-bin` is `openssl` in the version `3.0.14`. */
export function packageName(path: StorePath): { readonly name: string; readonly version?: string } {
  const whole = nameOf(path).replace(OUTPUT, '');
  const match = /^(.+?)-(\d.*)$/.exec(whole);
  return match?.[1] === undefined || match[2] === undefined
    ? { name: whole }
    : { name: match[1], version: match[2] };
}

const OUTPUT = /-(?:bin|data|dev|dist|doc|info|lib|libgcc|man|out|static)$/;

function storeEntries(layer: LayerFacts): StoreEntry[] {
  return (layer.recipe?.entries ?? []).filter((entry): entry is StoreEntry => entry.type === 'store-path');
}

function chainTo(closure: Closure | undefined, path: StorePath): readonly StorePath[] {
  if (closure === undefined) return [];
  const chains = closure.roots.flatMap((root) => {
    const chain = whyDepends(closure, root, path);
    return chain === undefined ? [] : [chain];
  });
  return chains.sort((a, b) => a.length - b.length)[0] ?? [];
}
