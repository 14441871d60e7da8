/** Puts the sources that a build of the basis needs, and only those, into the store before it starts. */
import { copyFile, link, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KilnError } from '../base/error.ts';
import { openDebianArchive, type DebArchitecture } from '../debian/debian-archive.ts';
import type { NixInstallation } from '../nix/nix-installation.ts';
import { runNix } from '../nix/run-nix.ts';
import { extractBusybox } from './busybox-tree.ts';
import { openNpmRegistry } from './npm-source.ts';
import { readProvidedSource, type DebSource, type ProvidedSource } from './provided-source.ts';

export interface ProvideOptions {
  readonly nix: NixInstallation;
  /** Package lists and files of Debian are kept here. */
  readonly debianFolder: string;
  readonly signal?: AbortSignal;
  readonly onProgress?: (line: string) => void;
}

export interface Provided {
  /** Store paths that were added, empty when the store had everything. */
  readonly added: readonly string[];
  /** Bytes of the Debian packages among them. */
  readonly bytes: number;
}

/** Arguments per command: the kernel limits their length. */
const BATCH = 200;

/**
 * Adds what the given derivations would need to build now: neither what is valid already nor what a substituter has.
 * A derivation may carry `^out` or `!out`. Nothing is built.
 * @throws KilnError dependency-fetch (with `fields.packages` when the archive no longer has a locked version),
 *   hash-mismatch, nix-failed, cancelled, disk-full
 */
export async function provideFixedOutputs(
  derivations: string | readonly string[],
  options: ProvideOptions,
): Promise<Provided> {
  const wanted = typeof derivations === 'string' ? [derivations] : derivations;
  const missing = await missingSources(wanted, options);
  if (missing.length === 0) return { added: [], bytes: 0 };
  const work = await mkdtemp(join(tmpdir(), 'kiln-provide-'));
  try {
    const debs = missing.filter((entry) => entry.kind !== 'npm');
    const [files] = await Promise.all([fetchDebs(debs, options), addNpm(missing, work, options)]);
    await addDebs(debs, files, work, options);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return {
    added: missing.map(({ outPath }) => outPath),
    bytes: missing.reduce((sum, entry) => sum + (entry.kind === 'npm' ? 0 : entry.source.size), 0),
  };
}

/** The sources that building `derivations` would ask for, as `nix-store --realise --dry-run` sees the store. */
async function missingSources(
  derivations: readonly string[],
  options: ProvideOptions,
): Promise<ProvidedSource[]> {
  const found: ProvidedSource[] = [];
  const paths = derivations.map((path) => path.replace(/[\^!].*$/, ''));
  const result = await runNix(
    options.nix,
    'nix-store',
    ['--realise', '--dry-run', ...paths],
    signalOf(options),
  );
  if (result.exitCode !== 0) {
    throw new KilnError('nix-failed', 'Nix could not say what the build needs', {
      where: result.stderr.trim().slice(-2000),
    });
  }
  const toBuild = [...result.stderr.matchAll(/^\s+(\/\S+\.drv)$/gm)].map((match) => match[1] ?? '');
  for (const drvPath of new Set(toBuild)) {
    const source = await readProvidedSource(drvPath);
    if (source !== undefined) found.push(source);
  }
  return found;
}

/** All in one call per architecture: SHA-256 → file. */
async function fetchDebs(
  entries: readonly { readonly source: DebSource }[],
  { debianFolder, signal, onProgress }: ProvideOptions,
): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  if (entries.length === 0) return files;
  const run = { ...signalOf({ signal }), ...(onProgress === undefined ? {} : { onProgress }) };
  const sources = entries.map(({ source }) => source);
  const architectures = new Set(sources.map(({ architecture }) => architecture).filter(isDebArchitecture));
  // Packages for every architecture are in any archive.
  const archives = architectures.size === 0 ? (['amd64'] as const) : [...architectures];
  for (const [position, architecture] of archives.entries()) {
    const suite = (sources[0]?.suite ?? '').replace(/-.*$/, '');
    const archive = await openDebianArchive({
      directory: debianFolder,
      suite,
      architecture,
      ...signalOf({ signal }),
    });
    const chosen = sources.filter(
      (deb) => deb.architecture === architecture || (position === 0 && deb.architecture === 'all'),
    );
    for (const [sha256, file] of await archive.fetch(chosen, run)) files.set(sha256, file);
  }
  return files;
}

async function addDebs(
  entries: readonly Extract<ProvidedSource, { kind: 'deb' | 'busybox' }>[],
  files: ReadonlyMap<string, string>,
  work: string,
  options: ProvideOptions,
): Promise<void> {
  const flat: [ProvidedSource, string][] = [];
  for (const entry of entries) {
    const file = files.get(entry.source.sha256);
    if (file === undefined) throw new KilnError('dependency-fetch', `${entry.source.name} was not fetched`);
    if (entry.kind === 'busybox') {
      await using tree = await extractBusybox(file, signalOf(options));
      await addFixed(['--recursive', 'sha256'], [[entry, tree.directory]], options);
      continue;
    }
    const named = join(work, entry.name);
    // The store takes the name from the file's.
    await link(file, named).catch(() => copyFile(file, named));
    flat.push([entry, named]);
  }
  await addFixed(['sha256'], flat, options);
}

async function addNpm(
  entries: readonly ProvidedSource[],
  work: string,
  options: ProvideOptions,
): Promise<void> {
  const npm = entries.filter((entry) => entry.kind === 'npm');
  if (npm.length === 0) return;
  options.onProgress?.(
    `downloading ${npm.map(({ source }) => `${source.package} ${source.version}`).join(', ')}`,
  );
  const registry = await openNpmRegistry();
  const files = await Promise.all(
    npm.map(async (entry): Promise<[ProvidedSource, string]> => {
      const file = join(work, entry.name);
      await registry.download(entry.source.package, entry.source.version, entry.source.integrity, file);
      return [entry, file];
    }),
  );
  await addFixed(['sha512'], files, options);
}

async function addFixed(
  how: readonly string[],
  files: readonly (readonly [ProvidedSource, string])[],
  options: ProvideOptions,
): Promise<void> {
  for (let start = 0; start < files.length; start += BATCH) {
    const batch = files.slice(start, start + BATCH);
    const args = ['--add-fixed', ...how, ...batch.map(([, file]) => file)];
    const result = await runNix(options.nix, 'nix-store', args, signalOf(options));
    if (result.exitCode !== 0) {
      const full = /No space left/.test(result.stderr);
      throw new KilnError(
        full ? 'disk-full' : 'nix-failed',
        'the sources of the basis could not be added to the store',
        {
          where: result.stderr.trim().slice(-2000),
        },
      );
    }
    const paths = result.stdout.trim().split('\n');
    for (const [position, [entry]] of batch.entries()) {
      if (paths[position] === entry.outPath) continue;
      throw new KilnError('hash-mismatch', `${entry.name} is not the file that the derivation asks for`, {
        where: `${entry.drvPath}\nexpected ${entry.outPath}\ngot      ${paths[position] ?? 'nothing'}`,
        hint: 'The lock and the derivation disagree: evaluate again, or write the lock anew with `kiln basis lock`.',
      });
    }
  }
}

const isDebArchitecture = (name: string): name is DebArchitecture => name === 'amd64' || name === 'arm64';

function signalOf({ signal }: { readonly signal?: AbortSignal | undefined }): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}
