/** Brings packages of the package set into this machine's store ahead of the builds that will need them, and keeps them there. */
import { mkdir } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import type { StorePath } from '../base/brand.ts';
import { isKilnError, KilnError } from '../base/error.ts';
import { instantiate } from '../nix/instantiate.ts';
import { machineFailure, nixFailure } from '../nix/nix-failure.ts';
import { realise } from '../nix/realise.ts';
import { NIX_COMMAND, runNix } from '../nix/run-nix.ts';
import { choosePackageSet, type PackageSet } from '../pipeline/package-set.ts';
import { createProvideSources } from '../pipeline/provide-sources.ts';
import { closureSize } from '../store/closure.ts';
import type { Kiln } from './open-kiln.ts';
import {
  cacheSettings,
  checkWorkerId,
  findCacheWorker,
  localCacheFolder,
  ownWorkerId,
} from './worker-cache.ts';

export interface CachedPackage {
  readonly name: string;
  readonly path: StorePath;
  /** Bytes of the package with all that it refers to. */
  readonly size: number;
  /** It was in the store before. */
  readonly present: boolean;
}

const ROOT = 'package-';
const NAME = /^[A-Za-z_][A-Za-z0-9_'-]*(?:\.[A-Za-z_][A-Za-z0-9_'-]*)*$/;

/**
 * All names are evaluated before the first is built, so one that is wrong costs nothing.
 * @throws KilnError invalid-name, not-found, conflict, and what evaluation and build throw
 */
export async function cachePackages(
  kiln: Kiln,
  workerId: string,
  names: readonly string[],
): Promise<CachedPackage[]> {
  checkWorkerId(workerId);
  const own = ownWorkerId(kiln);
  if (own !== undefined && own !== workerId) {
    throw new KilnError('conflict', `${workerId} is another machine's worker; this one is ${own}`, {
      hint: 'Call it in a process of that machine: packages are cached in the store of the machine that runs the call.',
    });
  }
  const packages = await choosePackageSet(kiln.settings.packages, kiln.env);
  const found: FoundPackage[] = [];
  for (const name of new Set(names)) found.push(await findPackage(kiln, packages, name, workerId));
  const keep = (await findCacheWorker(kiln, workerId))?.localCache ?? true;
  const cached: CachedPackage[] = [];
  for (const entry of found) cached.push(await cachePackage(kiln, entry, { workerId, keep }));
  if (keep)
    await copyToLocalCache(
      kiln,
      cached.map(({ path }) => path),
    );
  return cached;
}

/** How many packages are kept on this machine, over all workers' names for it. */
export async function countCachedPackages(kiln: Kiln): Promise<number> {
  const held = await (await kiln.roots()).list();
  return new Set([...held].filter(([name]) => name.startsWith(ROOT)).map(([, path]) => path)).size;
}

interface FoundPackage {
  readonly name: string;
  readonly rootName: string;
  readonly drvPath: StorePath;
  readonly outputName: string;
}

async function findPackage(
  kiln: Kiln,
  packages: PackageSet,
  name: string,
  workerId: string,
): Promise<FoundPackage> {
  if (!NAME.test(name) || name.length > 100) {
    throw new KilnError('invalid-name', `${JSON.stringify(name.slice(0, 120))} cannot name a package`, {
      hint: 'Use the attribute of the package set, e.g. nodejs or python3Packages.flask.',
    });
  }
  const [nix, roots] = await Promise.all([kiln.nix(), kiln.roots()]);
  // Characters of attribute names that names of roots may not have.
  const rootName = `${ROOT}${workerId}@${name.replaceAll("'", '=')}`;
  try {
    const { drvPath, outputName } = await instantiate(
      nix,
      { type: 'file', file: packages.location, attr: name, args: {} },
      {
        nixPath: { nixpkgs: packages.location },
        restricted: false,
        gcRoot: roots.linkOf(`drv-${rootName}`),
        signal: kiln.signal,
      },
    );
    return { name, rootName, drvPath, outputName };
  } catch (error) {
    if (!isKilnError(error) || error.fields['reason'] !== 'missing-attribute') throw error;
    throw new KilnError('not-found', `The package set (${packages.name}) has no package ${name}`, {
      hint: error.hint ?? 'Check its name.',
      cause: error,
    });
  }
}

async function cachePackage(
  kiln: Kiln,
  found: FoundPackage,
  options: { readonly workerId: string; readonly keep: boolean },
): Promise<CachedPackage> {
  const [nix, store, roots] = await Promise.all([kiln.nix(), kiln.store(), kiln.roots()]);
  const { name, rootName, drvPath, outputName } = found;
  const { signal } = kiln;
  const known = (await store.derivationOutputs(drvPath)).get(outputName);
  const present = known !== undefined && (await store.isValid(known));
  if (!present) await createProvideSources(nix, kiln.env)(drvPath, { signal, onProgress: kiln.onNotice });
  const { outputs } = await realise(nix, drvPath, {
    outputs: [outputName],
    settings: await cacheSettings(kiln, options.workerId),
    signal,
    ...(options.keep ? { gcRoot: roots.linkOf(rootName) } : {}),
  });
  await roots.release(`drv-${rootName}`);
  const path = outputs[outputName];
  if (path === undefined)
    throw new KilnError('nix-failed', `Nix built ${name} but names no output ${outputName}`);
  return { name, path, size: closureSize(await store.closure([path])), present };
}

/** In Nix's own format, so that other machines can use the folder as well. Paths that are there are not copied again. */
async function copyToLocalCache(kiln: Kiln, paths: readonly StorePath[]): Promise<void> {
  const folder = localCacheFolder(kiln);
  if (folder === undefined || paths.length === 0) return;
  await mkdir(folder, { recursive: true });
  const store = `${pathToFileURL(folder).href}?compression=zstd`;
  const result = await runNix(
    await kiln.nix(),
    'nix',
    ['copy', ...NIX_COMMAND, '--to', store, '--', ...paths],
    { signal: kiln.signal },
  );
  if (result.exitCode !== 0) throw machineFailure(result.stderr) ?? nixFailure('nix copy', result);
}
