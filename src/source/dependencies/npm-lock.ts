/** Reads package-lock.json and npm-shrinkwrap.json, lock file versions 1 to 3. */
import { z } from 'zod';
import { KilnError } from '../../base/error.ts';

export interface LockedNpmPackage {
  /** Key of the lock's `packages`, e.g. `node_modules/a/node_modules/b`. */
  readonly location: string;
  readonly name: string;
  readonly version: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly optional: boolean;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly libc?: readonly string[];
}

export interface NpmLock {
  readonly version: number;
  /** What has to be downloaded; links, workspaces and bundled packages are not in it. */
  readonly packages: readonly LockedNpmPackage[];
}

const words = z.union([z.string().transform((word) => [word]), z.array(z.string())]).optional();
const entrySchema = z.looseObject({
  name: z.string().optional(),
  version: z.string().optional(),
  resolved: z.union([z.string(), z.boolean()]).optional(),
  integrity: z.string().optional(),
  link: z.boolean().optional(),
  inBundle: z.boolean().optional(),
  bundled: z.boolean().optional(),
  optional: z.boolean().optional(),
  devOptional: z.boolean().optional(),
  os: words,
  cpu: words,
  libc: words,
});
const oldEntrySchema = entrySchema.extend({
  get dependencies() {
    return z.record(z.string(), oldEntrySchema).optional();
  },
});
const lockSchema = z.looseObject({
  lockfileVersion: z.number().int().optional(),
  packages: z.record(z.string(), entrySchema).optional(),
  dependencies: z.record(z.string(), z.unknown()).optional(),
});

/** @throws KilnError invalid-input naming `where` */
export function parseNpmLock(text: string, where: string): NpmLock {
  const lock = parse(lockSchema, parseJson(text, where), where);
  const version = lock.lockfileVersion ?? 1;
  if (lock.packages !== undefined) return { version, packages: currentPackages(lock.packages, where) };
  const old = parse(z.record(z.string(), oldEntrySchema), lock.dependencies ?? {}, where);
  return { version, packages: oldPackages(old, '', where) };
}

/** Whether npm installs the package on this machine: its `os`, `cpu` and `libc`, each with `!name` for "not this". */
export function isForPlatform(
  entry: LockedNpmPackage,
  platform: { readonly cpu: string; readonly libc: string },
): boolean {
  return allows(entry.os, 'linux') && allows(entry.cpu, platform.cpu) && allows(entry.libc, platform.libc);
}

type Entry = z.infer<typeof entrySchema>;
type OldEntry = z.infer<typeof oldEntrySchema>;

function currentPackages(packages: Readonly<Record<string, Entry>>, where: string): LockedNpmPackage[] {
  return Object.entries(packages).flatMap(([location, entry]) => {
    // Folders of the repository itself have no node_modules in their key.
    const at = location.lastIndexOf('node_modules/');
    const local = typeof entry.resolved === 'string' && entry.resolved.startsWith('file:');
    if (at < 0 || local || entry.link === true || entry.inBundle === true || entry.bundled === true)
      return [];
    return [locked(location, entry.name ?? location.slice(at + 'node_modules/'.length), entry, where)];
  });
}

function oldPackages(
  entries: Readonly<Record<string, OldEntry>>,
  base: string,
  where: string,
): LockedNpmPackage[] {
  return Object.entries(entries).flatMap(([name, entry]) => {
    const location = `${base}node_modules/${name}`;
    const nested = oldPackages(entry.dependencies ?? {}, `${location}/`, where);
    if (entry.bundled === true) return nested;
    if (entry.version?.startsWith('file:') === true) return nested;
    const remote = /^(https?|git(\+\w+)?|github):/.test(entry.version ?? '');
    return [locked(location, name, remote ? { ...entry, resolved: entry.version } : entry, where), ...nested];
  });
}

function locked(location: string, name: string, entry: Entry, where: string): LockedNpmPackage {
  if (!/^(@[^/@\s]+\/)?[^/@\s]+$/.test(name) || name.includes('..')) {
    throw new KilnError('invalid-input', `${JSON.stringify(name)} is not a package name`, { where });
  }
  return {
    location,
    name,
    version: entry.version ?? '0.0.0',
    ...(typeof entry.resolved === 'string' ? { resolved: entry.resolved } : {}),
    ...(entry.integrity === undefined || entry.integrity === '' ? {} : { integrity: entry.integrity }),
    optional: entry.optional === true || entry.devOptional === true,
    ...(entry.os === undefined ? {} : { os: entry.os }),
    ...(entry.cpu === undefined ? {} : { cpu: entry.cpu }),
    ...(entry.libc === undefined ? {} : { libc: entry.libc }),
  };
}

function allows(list: readonly string[] | undefined, value: string): boolean {
  if (list === undefined || list.length === 0 || list.includes('any')) return true;
  if (list.includes(`!${value}`)) return false;
  const wanted = list.filter((word) => !word.startsWith('!'));
  return wanted.length === 0 || wanted.includes(value);
}

function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new KilnError(
      'invalid-input',
      `${where} is not JSON: ${String(error instanceof Error ? error.message : error)}`,
      {
        where,
        hint: /^<{7} /m.test(text)
          ? 'It holds merge conflict markers: resolve them.'
          : 'Run `npm install` to write it anew.',
      },
    );
  }
}

function parse<T>(schema: z.ZodType<T>, value: unknown, where: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new KilnError('invalid-input', `${where} is not a lock file of npm: ${issue?.message ?? ''}`, {
    where: `${where}: ${issue?.path.join('.') ?? ''}`,
    hint: 'Run `npm install` to write it anew.',
  });
}
