/** Downloads npm packages into a cache by content, checks them against the lock, and lays them out for the sandbox. */
import { createHash } from 'node:crypto';
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import pLimit from 'p-limit';
import type pacote from 'pacote';
import { replaceFile } from '../../blobs/replace-file.ts';
import { formatBytes } from '../../base/units.ts';
import { KilnError } from '../../base/error.ts';
import type { SourceContext } from '../source-context.ts';
import type { Dependency } from '../templates/template.ts';
import { matchesIntegrity, sha512Integrity } from './integrity.ts';
import { readNpmConfiguration, type NpmConfiguration } from '../../npm/npm-configuration.ts';
import type { LockedNpmPackage } from './npm-lock.ts';
import { refusePrivateHost } from './refuse-private-host.ts';

const PARALLEL = 8;

export interface FetchedNpmPackage extends Dependency {
  readonly locations: readonly string[];
  /** Name of the tarball in the folder. */
  readonly file: string;
}

/**
 * Fills `directory` with one tarball per package and `packages.json`: where in the tree each of them goes.
 * @throws KilnError dependency-fetch naming the package
 */
export async function fetchNpmPackages(
  packages: readonly LockedNpmPackage[],
  directory: string,
  context: SourceContext,
): Promise<readonly Dependency[]> {
  const unique = groupByContent(packages);
  const cache = path.join(context.depsCache, 'npm');
  await mkdir(cache, { recursive: true });
  const configuration = await readNpmConfiguration();
  const limit = pLimit(PARALLEL);
  const abort = new AbortController();
  const progress = progressReport(unique.length, context.onProgress);
  const fetched = await Promise.all(
    unique.map(({ entry, locations }) =>
      limit(async () => {
        abort.signal.throwIfAborted();
        context.signal?.throwIfAborted();
        const tarball = await fetchTarball(entry, cache, configuration, context);
        progress.add(tarball.size);
        const file = fileName(entry, tarball.integrity);
        await copyFile(tarball.file, path.join(directory, file));
        const locked = entry.integrity !== undefined;
        return {
          name: entry.name,
          version: entry.version,
          integrity: tarball.integrity,
          locked,
          locations,
          file,
        };
      }).catch((error: unknown) => {
        abort.abort(error);
        throw error;
      }),
    ),
  );
  await writeFile(path.join(directory, 'packages.json'), describe(fetched));
  for (const { name, version, locked } of fetched) {
    if (!locked)
      context.onProgress?.(
        `warning: the lock has no integrity for ${name} ${version}; recorded what was downloaded`,
      );
  }
  return fetched.map(({ name, version, integrity, locked }) => ({ name, version, integrity, locked }));
}

function groupByContent(
  packages: readonly LockedNpmPackage[],
): { entry: LockedNpmPackage; locations: string[] }[] {
  const groups = new Map<string, { entry: LockedNpmPackage; locations: string[] }>();
  for (const entry of packages) {
    const key = JSON.stringify([entry.name, entry.version, entry.resolved ?? '', entry.integrity ?? '']);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { entry, locations: [entry.location] });
    else group.locations.push(entry.location);
  }
  return [...groups.values()];
}

async function fetchTarball(
  entry: LockedNpmPackage,
  cache: string,
  configuration: NpmConfiguration,
  context: SourceContext,
): Promise<{ file: string; integrity: string; size: number }> {
  const identity = entry.integrity ?? `${entry.name}@${entry.version} ${entry.resolved ?? ''}`;
  const file = path.join(cache, `${createHash('sha256').update(identity).digest('hex')}.tgz`);
  const cached = await readFile(file).catch(() => undefined);
  if (cached !== undefined && (entry.integrity === undefined || matchesIntegrity(cached, entry.integrity))) {
    return { file, integrity: entry.integrity ?? sha512Integrity(cached), size: cached.length };
  }
  const content = await download(entry, configuration, context);
  if (entry.integrity !== undefined && !matchesIntegrity(content, entry.integrity)) {
    throw failure(entry, 'what was downloaded does not match the integrity in the lock', undefined);
  }
  await replaceFile(file, content);
  return { file, integrity: entry.integrity ?? sha512Integrity(content), size: content.length };
}

async function download(
  entry: LockedNpmPackage,
  configuration: NpmConfiguration,
  context: SourceContext,
): Promise<Buffer> {
  const remote = entry.resolved ?? entry.version;
  if (/^(git|github:|gitlab:|bitbucket:|ssh:)/.test(remote)) {
    throw new KilnError(
      'dependency-fetch',
      `${entry.name} comes from a Git repository, which Kiln does not fetch for npm`,
      {
        where: remote.replace(/\/\/[^/@]*@/, '//'),
        hint: 'Use a published version, or give the tarball of the commit as an https URL.',
      },
    );
  }
  const named = configuration['registry'];
  const registry = typeof named === 'string' ? new URL(named).host : undefined;
  if (!context.allowLocal && /^https?:/.test(remote) && new URL(remote).host !== registry) {
    await refusePrivateHost(remote);
  }
  try {
    // Imported when needed: it is by far the largest part, and most builds fetch nothing.
    const { default: npm } = await import('pacote');
    return await npm.tarball(`${entry.name}@${remote}`, {
      ...configuration,
      cache: path.join(context.depsCache, 'npm-metadata'),
      ...(entry.integrity === undefined ? {} : { integrity: entry.integrity }),
      allowGit: 'none',
      fetchRetries: 3,
      fetchRetryMintimeout: 500,
      signal: context.signal,
    } as pacote.Options);
  } catch (error) {
    throw failure(entry, error instanceof Error ? error.message : String(error), error);
  }
}

function failure(entry: LockedNpmPackage, reason: string, cause: unknown): KilnError {
  const mismatch = /integrity|EINTEGRITY/.test(reason);
  return new KilnError(
    'dependency-fetch',
    `${entry.name} ${entry.version} could not be downloaded: ${reason}`,
    {
      where: entry.resolved ?? entry.location,
      hint: mismatch
        ? 'The registry serves other bytes than the lock names. If the lock is wrong, run `npm install` again and commit it.'
        : 'Check that npm on this machine reaches its registry: `npm ping`, `npm config get registry`.',
      cause,
    },
  );
}

/** As yarn's offline mirror names them, so that one layout serves every package manager. */
function fileName(entry: LockedNpmPackage, integrity: string): string {
  const base = `${entry.name.replace('/', '-')}-${entry.version}`.replace(/[^\w@.+-]/g, '_').slice(0, 150);
  const plain = entry.resolved === undefined || /^https?:\/\/[^?#]+\.tgz(#|$)/.test(entry.resolved);
  return plain && /^\d+\.\d+\.\d+/.test(entry.version)
    ? `${base}.tgz`
    : `${base}-${createHash('sha256').update(integrity).digest('hex').slice(0, 8)}.tgz`;
}

function describe(fetched: readonly FetchedNpmPackage[]): string {
  const rows = fetched.map(({ name, version, file, integrity, locations }) => ({
    name,
    version,
    file,
    integrity,
    locations,
  }));
  rows.sort((a, b) => (a.file < b.file ? -1 : 1));
  return `${JSON.stringify(rows, undefined, 1)}\n`;
}

function progressReport(
  total: number,
  onProgress: SourceContext['onProgress'],
): { add(bytes: number): void } {
  let [done, size, said] = [0, 0, performance.now()];
  return {
    add(bytes) {
      done++;
      size += bytes;
      if (done < total && performance.now() - said < 1000) return;
      said = performance.now();
      onProgress?.(`npm packages: ${done} of ${total}, ${formatBytes(size)}`);
    },
  };
}
