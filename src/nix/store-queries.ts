/** The store's database through `nix` commands: for remote stores, and users who may not read the database file. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { StorePath } from '../base/brand.ts';
import { KilnError } from '../base/error.ts';
import type { PathInfo } from '../store/closure.ts';
import { parseNarHash } from '../store/nar-hash.ts';
import { isHashPart, isStorePath, parseStorePath, STORE_DIR } from '../store/store-path.ts';
import { nixFailure } from './nix-failure.ts';
import type { NixInstallation } from './nix-installation.ts';
import { NIX_COMMAND, runNix } from './run-nix.ts';
import type { StoreDatabase } from './store-database.ts';

/** Paths per command, far below the limit of an argument list. */
const BATCH = 500;

interface RawPathInfo {
  readonly path?: string;
  readonly valid?: boolean;
  readonly narHash: string;
  readonly narSize: number;
  readonly references: readonly string[];
  readonly deriver?: string | null;
  readonly ca?: unknown;
  readonly signatures?: readonly string[];
  readonly registrationTime?: number | null;
  readonly ultimate?: boolean;
}

export function openStoreQueries(nix: NixInstallation): StoreDatabase {
  const pathInfo = async (path: StorePath): Promise<PathInfo | undefined> =>
    (await query(nix, [path], []))?.[0];
  const queryPaths = async (flag: string, path: StorePath): Promise<StorePath[]> => {
    const result = await runNix(nix, 'nix-store', ['--query', flag, path]);
    if (result.exitCode !== 0) return [];
    const lines = result.stdout.split('\n').filter(isStorePath);
    return [...new Set(lines)].sort();
  };
  let version = 0;
  return {
    kind: 'command',
    isValid: async (path) => (await pathInfo(path)) !== undefined,
    pathInfo,
    pathFromHashPart: async (hashPart) => {
      if (!isHashPart(hashPart)) return undefined;
      const names = await readdir(STORE_DIR).catch(() => []);
      const path = names
        .map((name) => join(STORE_DIR, name))
        .find((file) => file.slice(11, 44) === `${hashPart}-` && isStorePath(file));
      return path === undefined ? undefined : (await pathInfo(parseStorePath(path)))?.path;
    },
    closure: async (roots) => {
      const found = new Map<StorePath, PathInfo>();
      for (let start = 0; start < roots.length; start += BATCH) {
        const infos = await query(nix, roots.slice(start, start + BATCH), ['--recursive']);
        if (infos === undefined) {
          throw new KilnError('store-path-missing', 'A path of the closure is not in the store', {
            where: roots.slice(0, 20).join('\n'),
            hint: 'It may have been garbage-collected; build it again.',
          });
        }
        for (const info of infos) found.set(info.path, info);
      }
      return { roots, paths: [...found.values()].sort((a, b) => (a.path < b.path ? -1 : 1)) };
    },
    referrers: async (path) =>
      (await queryPaths('--referrers', path)).filter((referrer) => referrer !== path),
    derivationOutputs: async (drvPath) => {
      const result = await runNix(nix, 'nix-store', ['--query', '--binding', 'outputs', drvPath]);
      const names = result.exitCode === 0 ? result.stdout.trim().split(/\s+/) : ['out'];
      const paths = new Map<string, StorePath>();
      for (const name of names) {
        const bound = await runNix(nix, 'nix-store', ['--query', '--binding', name, drvPath]);
        if (isStorePath(bound.stdout.trim())) paths.set(name, parseStorePath(bound.stdout.trim()));
      }
      return paths;
    },
    derivers: async (path) => await queryPaths('--valid-derivers', path),
    statistics: async () => {
      const infos = (await query(nix, [], ['--all'])) ?? [];
      return {
        paths: infos.length,
        narSize: infos.reduce((sum, info) => sum + info.narSize, 0),
        newest: Math.max(0, ...infos.map((info) => info.registrationTime)),
      };
    },
    // Nobody can be asked whether something changed, so each answer counts as new.
    version: async () => ++version,
    [Symbol.dispose]: () => undefined,
  };
}

/** `undefined` when one of the paths is not valid. */
async function query(
  nix: NixInstallation,
  paths: readonly StorePath[],
  flags: readonly string[],
): Promise<PathInfo[] | undefined> {
  const result = await runNix(nix, 'nix', ['path-info', ...NIX_COMMAND, '--json', ...flags, '--', ...paths]);
  if (result.exitCode !== 0) {
    if (/is not valid|does not exist|no substituter|don't know how to build/.test(result.stderr))
      return undefined;
    throw nixFailure('nix path-info', result);
  }
  const entries = toEntries(JSON.parse(result.stdout));
  if (entries.some(([, raw]) => raw === null || raw.valid === false)) return undefined;
  return entries.map(([path, raw]) => toPathInfo(path, raw as RawPathInfo));
}

/** Nix gives an object by path since 2.19, an array before. */
function toEntries(json: unknown): (readonly [string, RawPathInfo | null])[] {
  if (Array.isArray(json)) return (json as readonly RawPathInfo[]).map((raw) => [raw.path ?? '', raw]);
  return Object.entries(json as Readonly<Record<string, RawPathInfo | null>>);
}

function toPathInfo(path: string, raw: RawPathInfo): PathInfo {
  return {
    path: absolute(path),
    narHash: parseNarHash(raw.narHash),
    narSize: raw.narSize,
    references: raw.references.map(absolute).sort(),
    signatures: raw.signatures ?? [],
    registrationTime: raw.registrationTime ?? 0,
    ultimate: raw.ultimate ?? false,
    ...(typeof raw.deriver === 'string' ? { deriver: absolute(raw.deriver) } : {}),
    ...(typeof raw.ca === 'string' && raw.ca !== '' ? { ca: raw.ca } : {}),
  };
}

/** Newer Nix may print base names. */
function absolute(path: string): StorePath {
  return parseStorePath(path.startsWith('/') ? path : `${STORE_DIR}/${path}`);
}
