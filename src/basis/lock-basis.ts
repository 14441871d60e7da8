/** `kiln basis lock`: resolves the basis's input list against the signed Debian index and the npm registry. */
import { basename } from 'node:path';
import { replaceFile } from '../blobs/replace-file.ts';
import { KilnError, isKilnError } from '../base/error.ts';
import { openDebianArchive } from '../debian/debian-archive.ts';
import type { DebPackage } from '../debian/deb-package.ts';
import { runChecked } from '../process/run-process.ts';
import { NIX_SYSTEMS, readBasisInput, type BasisInput, type NixSystem } from './basis-input.ts';
import {
  formatBasisLock,
  readBasisLock,
  storeSafeName,
  type BasisLock,
  type LockedDeb,
  type LockedSystem,
} from './basis-lock.ts';
import { basisInputFile, basisLockFile } from './basis-path.ts';
import { extractBusybox } from './busybox-tree.ts';
import { groupUnits, wantedPackages } from './group-units.ts';
import { openNpmRegistry, type NpmRegistry } from './npm-source.ts';

export interface LockBasisOptions {
  /** Package lists and files of Debian are kept here. */
  readonly debianFolder: string;
  /** Default: the input list of this version of Kiln. */
  readonly inputFile?: string;
  /** Where the lock is written; default: beside the input list that Kiln carries. */
  readonly lockFile?: string;
  /** Default: every system of the input list. */
  readonly systems?: readonly NixSystem[];
  readonly signal?: AbortSignal;
  readonly onProgress?: (line: string) => void;
}

/** Writes the lock whole or not at all, and returns it. @throws KilnError dependency-fetch, not-found, tool-missing */
export async function lockBasis(options: LockBasisOptions): Promise<BasisLock> {
  const input = await readBasisInput(options.inputFile ?? basisInputFile());
  const known = NIX_SYSTEMS.filter((system) => input.systems[system] !== undefined);
  const npm = await openNpmRegistry();
  const file = options.lockFile ?? basisLockFile();
  // Systems that are not asked for keep what they have.
  const systems: Record<string, LockedSystem> = options.systems === undefined ? {} : await systemsOf(file);
  for (const system of options.systems ?? known)
    systems[system] = await lockSystem(input, system, npm, options);
  const lock: BasisLock = { version: 1, suite: input.suite, systems };
  await replaceFile(file, formatBasisLock(lock));
  return lock;
}

async function systemsOf(file: string): Promise<BasisLock['systems']> {
  const lock = await readBasisLock(file).catch((error: unknown) => {
    if (isKilnError(error)) return undefined;
    throw error;
  });
  return { ...lock?.systems };
}

async function lockSystem(
  input: BasisInput,
  system: NixSystem,
  npm: NpmRegistry,
  { debianFolder, signal, onProgress }: LockBasisOptions,
): Promise<LockedSystem> {
  const names = input.systems[system];
  if (names === undefined) {
    throw new KilnError('invalid-input', `the basis input list has no system ${system}`, {
      hint: `It has ${Object.keys(input.systems).join(', ')}.`,
    });
  }
  const run = {
    ...(signal === undefined ? {} : { signal }),
    ...(onProgress === undefined ? {} : { onProgress }),
  };
  const archive = await openDebianArchive({
    directory: debianFolder,
    suite: input.suite,
    architecture: names.debian,
    ...run,
  });
  onProgress?.(`resolving the basis for ${system}`);
  const closure = await archive.resolve(wantedPackages(input, system), run);
  const units = groupUnits(input, system, closure);
  const used = new Set([input.busybox, ...Object.values(units).flatMap(({ debs }) => debs)]);
  const kept = closure.filter((deb) => used.has(deb.name));
  const busybox = kept.find((deb) => deb.name === input.busybox);
  if (busybox === undefined) throw new KilnError('not-found', `the archive has no package ${input.busybox}`);
  const fetched = (await archive.fetch([busybox], run)).get(busybox.sha256) ?? '';
  return {
    busybox: { deb: busybox.name, narHash: await busyboxNarHash(fetched, signal) },
    debs: Object.fromEntries(kept.map((deb) => [deb.name, lockDeb(deb)])),
    units,
    npm: await lockNpm(input, system, names.npm, npm),
  };
}

async function lockNpm(
  input: BasisInput,
  system: NixSystem,
  platform: string,
  npm: NpmRegistry,
): Promise<LockedSystem['npm']> {
  const entries = Object.entries(input.npm).map(async ([attribute, wanted]) => {
    const name = wanted.package.replaceAll('${npm}', platform);
    const range = typeof wanted.version === 'string' ? wanted.version : (wanted.version[system] ?? 'latest');
    const release = await npm.release(name, range);
    return [
      attribute,
      { package: name, ...release, file: storeSafeName(`${name}-${release.version}.tgz`) },
    ] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

function lockDeb(deb: DebPackage): LockedDeb {
  const { version, architecture, sha256, size, filename, suite } = deb;
  return { version, architecture, sha256, size, filename, suite, file: storeSafeName(basename(filename)) };
}

async function busyboxNarHash(deb: string, signal: AbortSignal | undefined): Promise<string> {
  const options = signal === undefined ? {} : { signal };
  await using tree = await extractBusybox(deb, options);
  const args = ['--extra-experimental-features', 'nix-command', 'hash', 'path', '--sri', tree.directory];
  return (await runChecked('nix', args, options)).stdout.trim();
}
