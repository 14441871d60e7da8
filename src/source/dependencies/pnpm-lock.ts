/** Reads the `packages` of a pnpm-lock.yaml, versions 5 to 9. Only the shape that pnpm writes is understood, not all of YAML. */
import { KilnError } from '../../base/error.ts';
import type { LockedNpmPackage } from './npm-lock.ts';

/** @throws KilnError invalid-input */
export function parsePnpmLock(text: string, where: string): readonly LockedNpmPackage[] {
  const lines = text.split(/\r?\n/);
  const version = Number(/^lockfileVersion:\s*['"]?(\d+(?:\.\d+)?)/m.exec(text)?.[1]);
  if (!(version >= 5 && version < 10)) {
    throw new KilnError('invalid-input', `${where} has no lock file version from 5 to 9`, {
      where,
      hint: /^<{7} /m.test(text) ? 'Resolve its merge conflict.' : 'Run `pnpm install` to write it anew.',
    });
  }
  const start = lines.indexOf('packages:');
  if (start < 0) return [];
  const found: LockedNpmPackage[] = [];
  let key = '';
  let body: string[] = [];
  const finish = (): void => {
    const entry = key === '' ? undefined : lockedPackage(key, body.join('\n'), where);
    if (entry !== undefined) found.push(entry);
    body = [];
  };
  for (const line of lines.slice(start + 1)) {
    if (/^\S/.test(line)) break;
    const head = /^ {2}(['"]?)(\S.*?)\1:\s*$/.exec(line);
    if (head === null) body.push(line);
    else {
      finish();
      key = head[2] ?? '';
    }
  }
  finish();
  return found;
}

function lockedPackage(key: string, body: string, where: string): LockedNpmPackage | undefined {
  const resolution = /^ {4}resolution:\s*(\{[^}]*\}|(?:\n {6}.*)+)/m.exec(body)?.[1] ?? '';
  const integrity = field(resolution, 'integrity');
  const tarball = field(resolution, 'tarball');
  if (field(resolution, 'directory') !== undefined) return undefined;
  if (integrity === undefined && tarball === undefined) {
    throw new KilnError(
      'dependency-fetch',
      `${key} comes from a Git repository, which Kiln does not fetch for pnpm`,
      {
        where,
        hint: 'Use a published version, or give the tarball of the commit as an https URL.',
      },
    );
  }
  // `/name/1.0.0_peer` (5), `/name@1.0.0(peer)` (6), `name@1.0.0` (9).
  const plain = key.replace(/^\//, '').replace(/\(.*$/, '');
  const match = /^((?:@[^/@]+\/)?[^/@]+)[@/](.+)$/.exec(plain);
  const name = /^ {4}name:\s*['"]?([^'"\s]+)/m.exec(body)?.[1] ?? match?.[1];
  const version = /^ {4}version:\s*['"]?([^'"\s]+)/m.exec(body)?.[1] ?? match?.[2]?.replace(/_.*$/, '');
  if (name === undefined || version === undefined || name.includes('..')) {
    throw new KilnError('invalid-input', `${where} holds an entry without a name or version`, {
      where: `${where}: ${key}`,
    });
  }
  const lists = { os: list(body, 'os'), cpu: list(body, 'cpu'), libc: list(body, 'libc') };
  return {
    location: `${name}@${version}`,
    name,
    version,
    ...(tarball === undefined ? {} : { resolved: tarball }),
    ...(integrity === undefined ? {} : { integrity }),
    optional: /^ {4}optional: true/m.test(body),
    ...Object.fromEntries(Object.entries(lists).filter(([, value]) => value !== undefined)),
  };
}

function field(resolution: string, name: string): string | undefined {
  return new RegExp(`(?:^|[{,\\s])${name}:\\s*['"]?([^'",}\\s]+)`).exec(resolution)?.[1];
}

function list(body: string, name: string): string[] | undefined {
  const inline = new RegExp(`^ {4}${name}:\\s*\\[([^\\]]*)\\]`, 'm').exec(body)?.[1];
  if (inline === undefined) return undefined;
  return inline
    .split(',')
    .map((word) => word.trim().replace(/^['"]|['"]$/g, ''))
    .filter((word) => word !== '');
}
