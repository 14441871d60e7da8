/** Cuts a resolved Debian closure into units: the sets of packages that become one store path each. Pure. */
import { KilnError } from '../base/error.ts';
import type { DebPackage } from '../debian/deb-package.ts';
import type { BasisInput, NixSystem } from './basis-input.ts';
import type { LockedUnit } from './basis-lock.ts';

interface Group {
  readonly debs: readonly string[];
  readonly skip: ReadonlySet<string>;
}

/** Names of the Debian packages to resolve for `system`; patterns are left out, their packages come as dependencies. */
export function wantedPackages(input: BasisInput, system: NixSystem): string[] {
  const gnu = input.systems[system]?.gnu ?? '';
  const grouped = Object.values(input.groups)
    .filter(({ only }) => only === undefined || only.includes(system))
    .flatMap(({ debs }) => debs)
    .map((name) => name.replaceAll('${gnu}', gnu));
  return [...new Set([input.busybox, ...grouped, ...input.roots])]
    .filter((name) => !isPattern(name))
    .toSorted();
}

/**
 * Units of `closure` for `system`. A package of no group is a unit of its own; packages that need each other
 * share one, because store paths cannot refer to each other in a circle.
 * @throws KilnError not-found when a group names a package that the closure lacks
 */
export function groupUnits(
  input: BasisInput,
  system: NixSystem,
  closure: readonly DebPackage[],
): Record<string, LockedUnit> {
  const debs = new Map(closure.map((deb) => [deb.name, deb]));
  const groups = readGroups(input, system, debs);
  for (const root of input.roots) if (!debs.has(root)) throw notInArchive(root, 'roots');
  const unitOf = new Map<string, string>();
  for (const [name, group] of groups) for (const deb of group.debs) unitOf.set(deb, name);
  const everSkipped = new Set(input.skip);

  const members = new Map<string, string[]>();
  const needs = new Map<string, Set<string>>();
  const visit = (unit: string): void => {
    if (members.has(unit)) return;
    const group = groups.get(unit) ?? { debs: [unit], skip: new Set<string>() };
    members.set(unit, [...group.debs].toSorted());
    const targets = new Set<string>();
    needs.set(unit, targets);
    for (const name of group.debs) {
      for (const dependency of debs.get(name)?.dependencies ?? []) {
        const target = unitOf.get(dependency) ?? dependency;
        if (target === unit || group.skip.has(dependency)) continue;
        if (everSkipped.has(dependency) && !group.debs.includes(dependency)) continue;
        targets.add(target);
        visit(target);
      }
    }
  };
  for (const name of [...groups.keys(), ...input.roots.map((root) => unitOf.get(root) ?? root)]) visit(name);
  return mergeCycles(members, needs, (unit) => debs.get(groups.get(unit)?.debs[0] ?? unit)?.version ?? '0');
}

function readGroups(
  input: BasisInput,
  system: NixSystem,
  debs: ReadonlyMap<string, DebPackage>,
): Map<string, Group> {
  const gnu = input.systems[system]?.gnu ?? '';
  const groups = new Map<string, Group>();
  for (const [name, { debs: names, skip, only }] of Object.entries(input.groups)) {
    if (only !== undefined && !only.includes(system)) continue;
    const members = names.flatMap((pattern) => matching(pattern.replaceAll('${gnu}', gnu), debs, name));
    groups.set(name, { debs: members, skip: new Set(skip ?? []) });
  }
  return groups;
}

function matching(pattern: string, debs: ReadonlyMap<string, DebPackage>, group: string): string[] {
  const expression = new RegExp(`^${pattern.replaceAll(/[.+]/g, '\\$&').replaceAll('*', '.*')}$`);
  const found = isPattern(pattern) ? [...debs.keys()].filter((name) => expression.test(name)) : [pattern];
  if (found.length > 0 && found.every((name) => debs.has(name))) return found;
  throw notInArchive(pattern, `the group ${group}`);
}

function notInArchive(name: string, place: string): KilnError {
  return new KilnError('not-found', `the archive has no package ${name}, which ${place} of the basis names`, {
    hint: 'Correct the name in nix/basis/packages.json; a virtual package must be named by one that provides it.',
  });
}

const isPattern = (name: string): boolean => /[*[]/.test(name);

/** Tarjan's algorithm; a component of several units becomes one, named after its first member. */
function mergeCycles(
  members: ReadonlyMap<string, string[]>,
  needs: ReadonlyMap<string, ReadonlySet<string>>,
  versionOf: (unit: string) => string,
): Record<string, LockedUnit> {
  const order = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const home = new Map<string, string>();
  const connect = (unit: string): void => {
    order.set(unit, order.size);
    low.set(unit, order.get(unit) ?? 0);
    stack.push(unit);
    for (const next of needs.get(unit) ?? []) {
      if (!order.has(next)) connect(next);
      if (!home.has(next)) low.set(unit, Math.min(low.get(unit) ?? 0, low.get(next) ?? 0));
    }
    if (low.get(unit) !== order.get(unit)) return;
    const component = stack.splice(stack.indexOf(unit)).toSorted();
    for (const member of component) home.set(member, component[0] ?? unit);
  };
  for (const unit of [...members.keys()].toSorted()) if (!order.has(unit)) connect(unit);

  const units: Record<string, LockedUnit> = {};
  for (const [unit, representative] of home) {
    const entry = (units[representative] ??= { version: '', debs: [], needs: [] });
    entry.debs.push(...(members.get(unit) ?? []));
    entry.needs.push(...[...(needs.get(unit) ?? [])].map((name) => home.get(name) ?? name));
  }
  for (const [name, unit] of Object.entries(units)) {
    unit.debs = [...new Set(unit.debs)].toSorted();
    unit.needs = [...new Set(unit.needs)].filter((need) => need !== name).toSorted();
    unit.version = upstreamVersion(versionOf(name));
  }
  return units;
}

/** `1:2.47.3-0+deb13u1` → `2.47.3`, `1.3.dfsg+really1.3.1-1` → `1.3.1`: without epoch, repacking and Debian revision. */
export function upstreamVersion(version: string): string {
  return version
    .replace(/^\d+:/, '')
    .replace(/-[^-]*$/, '')
    .replace(/^.*really/, '')
    .replace(/[+~.]?(dfsg|ds|repack|git|deb)\d*.*$/, '')
    .replace(/[^A-Za-z0-9.]/g, '.');
}
