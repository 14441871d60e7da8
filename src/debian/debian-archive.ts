/** Debian packages for any suite, without touching the machine's own package database. */
import { join, resolve as absolute } from 'node:path';
import { KilnError } from '../base/error.ts';
import { findArchives } from './archive-location.ts';
import { makeAptRoot, type AptRoot, type AptRun } from './apt-root.ts';
import { fetchDebs } from './deb-cache.ts';
import {
  dependencyClauses,
  packageOf,
  parseControl,
  providedNames,
  type ControlParagraph,
  type DebPackage,
} from './deb-package.ts';

export type DebArchitecture = 'amd64' | 'arm64';

export interface OpenArchiveOptions {
  /** Holds lists and downloaded files; created if missing. Several suites and processes may share it. */
  readonly directory: string;
  /** Code name of the suite. */
  readonly suite: string;
  /** Default: this machine's. */
  readonly architecture?: DebArchitecture;
  readonly signal?: AbortSignal;
  readonly env?: NodeJS.ProcessEnv;
}

export interface DebianArchive {
  readonly suite: string;
  readonly architecture: DebArchitecture;
  /**
   * The named packages and all that they depend on (Depends and Pre-Depends), sorted by name, from the signed index.
   * @throws KilnError not-found for an unknown package, dependency-fetch when the index cannot be had
   */
  resolve(names: readonly string[], run?: AptRun): Promise<DebPackage[]>;
  /**
   * The packages' files, verified, SHA-256 → path. Needs no index: the SHA-256 is what is trusted.
   * @throws KilnError dependency-fetch
   */
  fetch(packages: readonly DebPackage[], run?: AptRun): Promise<Map<string, string>>;
}

/** The suite that Kiln takes Nix and the basis from: a stable release, whose index does not expire. */
export const DEBIAN_SUITE = 'trixie';

/** @throws KilnError tool-missing where there is no apt or no Debian source */
export async function openDebianArchive(options: OpenArchiveOptions): Promise<DebianArchive> {
  const { suite } = options;
  const directory = absolute(options.directory);
  if (/["\s]/.test(directory)) {
    throw new KilnError(
      'invalid-input',
      `apt cannot work in a directory with spaces or quotes: ${directory}`,
    );
  }
  if (!/^[a-z]+$/.test(suite))
    throw new KilnError('invalid-input', `"${suite}" is not a Debian suite's name`);
  const architecture = options.architecture ?? machineArchitecture();
  const apt = await makeAptRoot({
    directory: join(directory, `${suite}-${architecture}`),
    suite,
    architecture,
    locations: await findArchives(options),
  });
  return {
    suite,
    architecture,
    resolve: (names, run = {}) => resolveClosure(apt, suite, names, run),
    fetch: (packages, run = {}) => fetchDebs(apt, join(directory, 'files'), packages, run),
  };
}

/** Debian's name for this machine's architecture. @throws KilnError tool-missing on others than amd64 and arm64 */
function machineArchitecture(): DebArchitecture {
  if (process.arch === 'x64') return 'amd64';
  if (process.arch === 'arm64') return 'arm64';
  throw new KilnError('tool-missing', `Kiln takes packages for amd64 and arm64, not for ${process.arch}`);
}

async function resolveClosure(
  apt: AptRoot,
  suite: string,
  names: readonly string[],
  run: AptRun,
): Promise<DebPackage[]> {
  const odd = names.find((name) => !/^[a-z0-9][a-z0-9+.-]+$/.test(name));
  if (odd !== undefined) throw new KilnError('invalid-input', `"${odd}" is not a Debian package's name`);
  if (names.length === 0) return [];
  await apt.update(run);
  let plan = await planInstall(apt, names, run);
  if (plan.exitCode !== 0) {
    await apt.update({ ...run, force: true });
    plan = await planInstall(apt, names, run);
  }
  if (plan.exitCode !== 0) throw unresolvable(suite, names, plan.stderr);
  const planned = plannedFiles(plan.stdout);
  const shown = await apt.run(
    'apt-cache',
    ['show', '--no-all-versions', ...planned.map((file) => file.pin)],
    run,
  );
  return closureOf(parseControl(shown.stdout), planned, suite, apt.locations()[0]?.security);
}

function planInstall(apt: AptRoot, names: readonly string[], run: AptRun): ReturnType<AptRoot['run']> {
  return apt.run('apt-get', ['install', '--print-uris', '--yes', '--quiet=2', ...names], run);
}

interface PlannedFile {
  readonly uri: string;
  /** `name=version` as apt takes it. */
  readonly pin: string;
}

/** Lines of `apt-get --print-uris`: `'URI' name_version_arch.deb size hash`, the version with `:` as `%3a`. */
function plannedFiles(printed: string): PlannedFile[] {
  return [...printed.matchAll(/^'([^']+)' ([^_\s]+)_([^_\s]+)_[^_\s]+\.deb \d+/gm)].map((match) => ({
    uri: decodeURIComponent(match[1] ?? ''),
    pin: `${match[2]}=${decodeURIComponent(match[3] ?? '')}`,
  }));
}

function closureOf(
  paragraphs: readonly ControlParagraph[],
  planned: readonly PlannedFile[],
  suite: string,
  security: string | undefined,
): DebPackage[] {
  const chosen = new Map<string, ControlParagraph>();
  for (const paragraph of paragraphs) {
    const pin = `${paragraph.get('Package')}=${paragraph.get('Version')}`;
    if (planned.some((file) => file.pin === pin)) chosen.set(pin, paragraph);
  }
  const absent = planned.find((file) => !chosen.has(file.pin));
  if (absent !== undefined)
    throw new KilnError('corrupt', `the Debian index does not describe ${absent.pin}`);
  const providers = new Map<string, string[]>();
  for (const paragraph of chosen.values()) {
    const name = paragraph.get('Package') ?? '';
    for (const offer of [name, ...providedNames(paragraph)])
      providers.set(offer, [...(providers.get(offer) ?? []), name]);
  }
  return planned
    .map(({ pin, uri }) => {
      const paragraph = chosen.get(pin) ?? new Map<string, string>();
      const fromSecurity = security !== undefined && uri.startsWith(`${security}/`);
      const deb = packageOf(paragraph, fromSecurity ? `${suite}-security` : suite);
      return { ...deb, dependencies: edgesOf(deb.name, paragraph, providers) };
    })
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function edgesOf(
  self: string,
  paragraph: ControlParagraph,
  providers: ReadonlyMap<string, string[]>,
): string[] {
  const edges = new Set<string>();
  for (const alternatives of dependencyClauses(paragraph)) {
    const met = alternatives.map((name) => providers.get(name)).find((names) => names !== undefined) ?? [];
    // A package of that very name is meant before one that merely provides it.
    const exact = met.filter((name) => alternatives.includes(name));
    for (const name of exact.length > 0 ? exact.slice(0, 1) : met) if (name !== self) edges.add(name);
  }
  return [...edges].toSorted();
}

function unresolvable(suite: string, names: readonly string[], stderr: string): KilnError {
  const unknown = [
    ...stderr.matchAll(/Unable to locate package (\S+)|Package '?([a-z0-9+.-]+)'? has no installation/g),
  ];
  const listed = unknown.map((match) => match[1] ?? match[2]).join(', ');
  if (listed !== '') {
    return new KilnError('not-found', `Debian ${suite} has no package ${listed}`, {
      hint: 'Check the name with `apt-cache search`; a virtual package must be named by one of its providers.',
    });
  }
  return new KilnError(
    'dependency-fetch',
    `Debian ${suite} cannot satisfy the dependencies of ${names.join(', ')}`,
    {
      where: stderr.trim().split('\n').slice(0, 12).join('\n'),
      hint: 'Packages that conflict must be asked for one by one.',
    },
  );
}
