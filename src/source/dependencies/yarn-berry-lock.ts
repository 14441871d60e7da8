/** Reads yarn.lock of yarn 2 and newer. Only the shape that yarn writes is understood, not all of YAML. */
import { KilnError } from '../../base/error.ts';
import type { LockedNpmPackage } from './npm-lock.ts';

export function isYarnBerryLock(text: string): boolean {
  return /^__metadata:/m.test(text);
}

/**
 * What has to be downloaded. The lock's checksums are of yarn's own archives; yarn compares them in the sandbox.
 * @throws KilnError invalid-input, dependency-fetch (packages that no registry has)
 */
export function parseYarnBerryLock(text: string, where: string): readonly LockedNpmPackage[] {
  const found = new Map<string, LockedNpmPackage>();
  for (const block of text.split(/\n(?=\S)/)) {
    const resolution = /^ {2}resolution: "?([^"\n]+?)"?\s*$/m.exec(block)?.[1];
    if (resolution === undefined) continue;
    const match = /^((?:@[^/@\s]+\/)?[^/@\s]+)@([a-z+]+):(.*)$/.exec(resolution);
    const [, name = '', protocol = '', rest = ''] = match ?? [];
    if (['workspace', 'patch', 'virtual', 'link', 'portal'].includes(protocol)) continue;
    if (protocol !== 'npm' || name.includes('..') || !/^\d/.test(rest)) {
      throw new KilnError(
        'dependency-fetch',
        `${name || resolution} is not from a registry, which Kiln does not fetch for yarn`,
        {
          where: `${where}: ${resolution.replace(/\/\/[^/@]*@/, '//')}`,
          hint: 'Use a published version.',
        },
      );
    }
    const version = rest.replace(/::.*$/, '');
    const conditions = /^ {2}conditions: (.+)$/m.exec(block)?.[1] ?? '';
    const location = `${name}@${version}`;
    const lists = {
      os: words(conditions, 'os'),
      cpu: words(conditions, 'cpu'),
      libc: words(conditions, 'libc'),
    };
    found.set(location, {
      location,
      name,
      version,
      optional: conditions !== '',
      ...Object.fromEntries(Object.entries(lists).filter(([, value]) => value !== undefined)),
    });
  }
  return [...found.values()];
}

/** `(os=darwin | os=linux) & cpu=x64`. */
function words(conditions: string, name: string): readonly string[] | undefined {
  const list = [...conditions.matchAll(new RegExp(`\\b${name}=([\\w!-]+)`, 'g'))].map(
    (match) => match[1] ?? '',
  );
  return list.length === 0 ? undefined : list;
}
