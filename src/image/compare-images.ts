/** What changed from one image to another. Pure. */
import type { OciDigest, StorePath } from '../base/brand.ts';
import type { ImageConfig } from '../oci/image-config.ts';
import { type InspectedPackage, type LayerFacts, packagesOf } from './inspect-image.ts';

export interface ComparedPackage {
  readonly name: string;
  readonly change: 'added' | 'removed' | 'changed';
  readonly versions: { readonly from: readonly string[]; readonly to: readonly string[] };
  /** NAR bytes. */
  readonly size: { readonly from: number; readonly to: number };
}

export interface ComparedSetting {
  /** `Env.PORT`, `Entrypoint`, `User` … */
  readonly key: string;
  readonly from?: string;
  readonly to?: string;
}

export interface ImageComparison {
  readonly packages: readonly ComparedPackage[];
  readonly config: readonly ComparedSetting[];
  readonly layers: {
    readonly shared: number;
    readonly sharedBytes: number;
    /** In the second image only: what travels to somebody who has the first. */
    readonly added: number;
    readonly addedBytes: number;
    readonly removed: number;
    readonly removedBytes: number;
  };
}

export interface ComparedImage {
  readonly layers: readonly LayerFacts[];
  readonly config: ImageConfig;
}

export function compareImages(from: ComparedImage, to: ComparedImage): ImageComparison {
  const [before, after] = [digestsOf(from.layers), digestsOf(to.layers)];
  const count = (layers: readonly LayerFacts[]): readonly [number, number] => [
    layers.length,
    layers.reduce((sum, layer) => sum + layer.size, 0),
  ];
  const [shared, sharedBytes] = count(to.layers.filter((layer) => before.has(layer.digest)));
  const [added, addedBytes] = count(to.layers.filter((layer) => !before.has(layer.digest)));
  const [removed, removedBytes] = count(from.layers.filter((layer) => !after.has(layer.digest)));
  return {
    packages: comparePackages(packagesOf(from.layers), packagesOf(to.layers)),
    config: compareSettings(settingsOf(from.config), settingsOf(to.config)),
    layers: { shared, sharedBytes, added, addedBytes, removed, removedBytes },
  };
}

/** Largest difference first. */
function comparePackages(
  from: readonly InspectedPackage[],
  to: readonly InspectedPackage[],
): ComparedPackage[] {
  const [before, after] = [byName(from), byName(to)];
  const names = [...new Set([...before.keys(), ...after.keys()])];
  const rows = names.flatMap((name): ComparedPackage[] => {
    const [old, now] = [before.get(name), after.get(name)];
    if (old !== undefined && now !== undefined && samePaths(old.paths, now.paths)) return [];
    return [
      {
        name,
        change: old === undefined ? 'added' : now === undefined ? 'removed' : 'changed',
        versions: { from: old?.versions ?? [], to: now?.versions ?? [] },
        size: { from: old?.size ?? 0, to: now?.size ?? 0 },
      },
    ];
  });
  const weight = ({ size }: ComparedPackage): number => Math.abs(size.to - size.from);
  return rows.sort((a, b) => weight(b) - weight(a) || (a.name < b.name ? -1 : 1));
}

function compareSettings(
  from: ReadonlyMap<string, string>,
  to: ReadonlyMap<string, string>,
): ComparedSetting[] {
  return [...new Set([...from.keys(), ...to.keys()])]
    .filter((key) => from.get(key) !== to.get(key))
    .sort()
    .map((key) => {
      const [old, now] = [from.get(key), to.get(key)];
      return { key, ...(old === undefined ? {} : { from: old }), ...(now === undefined ? {} : { to: now }) };
    });
}

/** One text per setting; variables, labels and ports by name. */
function settingsOf(image: ImageConfig): Map<string, string> {
  const { Env = [], Labels = {}, ExposedPorts = {}, ...rest } = image.config;
  const settings = new Map<string, string>([
    ['created', image.created ?? ''],
    ['platform', [image.os, image.architecture, image.variant].filter(Boolean).join('/')],
  ]);
  for (const line of Env) settings.set(`Env.${line.split('=')[0] ?? ''}`, line.slice(line.indexOf('=') + 1));
  for (const [name, value] of Object.entries(Labels)) settings.set(`Labels.${name}`, value);
  for (const port of Object.keys(ExposedPorts)) settings.set(`ExposedPorts.${port}`, port);
  for (const [name, value] of Object.entries(rest))
    settings.set(name, typeof value === 'string' ? value : JSON.stringify(value));
  return settings;
}

function byName(packages: readonly InspectedPackage[]): Map<string, InspectedPackage> {
  return new Map(packages.map((one) => [one.name, one]));
}

function samePaths(a: readonly StorePath[], b: readonly StorePath[]): boolean {
  return a.length === b.length && a.every((path, at) => path === b[at]);
}

function digestsOf(layers: readonly LayerFacts[]): Set<OciDigest> {
  return new Set(layers.map((layer) => layer.digest));
}
