/** A private apt: its own sources, lists and caches in one directory, so that the machine's stay untouched. */
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { KilnError } from '../base/error.ts';
import { lockFile } from '../process/file-lock.ts';
import { runProcess, type ProcessResult } from '../process/run-process.ts';
import type { ArchiveLocation } from './archive-location.ts';

/** Lists of this age are used as they are. */
const FRESH_MS = 24 * 3_600_000;

export interface AptRootOptions {
  readonly directory: string;
  readonly suite: string;
  readonly architecture: string;
  readonly locations: readonly ArchiveLocation[];
}

export interface AptRun {
  readonly signal?: AbortSignal;
  readonly onProgress?: (line: string) => void;
}

export interface AptRoot {
  /** Runs `apt-get`, `apt-cache` or `apt-helper` inside the root. */
  run(program: string, args: readonly string[], run: AptRun): Promise<ProcessResult>;
  /** Fetches the signed lists if they are missing or older than a day, or in any case with `force`. */
  update(run: AptRun & { readonly force?: boolean }): Promise<void>;
  /** The archives to fetch from; the one whose lists Debian's keys verified comes first. */
  locations(): readonly ArchiveLocation[];
}

const PROGRAMS: Readonly<Record<string, string>> = { 'apt-helper': '/usr/lib/apt/apt-helper' };

export async function makeAptRoot(options: AptRootOptions): Promise<AptRoot> {
  const { directory } = options;
  const stamp = join(directory, 'updated');
  await mkdir(join(directory, 'lists', 'partial'), { recursive: true });
  await mkdir(join(directory, 'cache', 'archives', 'partial'), { recursive: true });
  await mkdir(join(directory, 'empty'), { recursive: true });
  await writeFile(join(directory, 'status'), '', { flag: 'a' });
  await writeFile(join(directory, 'apt.conf'), configuration(directory, options.architecture));

  const run: AptRoot['run'] = (program, args, { signal }) =>
    runProcess(PROGRAMS[program] ?? program, ['-c', join(directory, 'apt.conf'), ...args], {
      env: { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
      keepBytes: 256 * 2 ** 20,
      signal,
    });

  const verified = await readFile(stamp, 'utf8').catch(() => '');
  let main = options.locations.find((location) => `${location.main}\n` === verified)?.main;
  const update: AptRoot['update'] = async ({ signal, onProgress, force }) => {
    await using _lock = await lockFile(join(directory, 'update.lock'), { signal });
    const updated = await stat(stamp).catch(() => undefined);
    // Lists of a mirror that is no longer configured are not fresh, whatever their age.
    const fresh = updated !== undefined && main !== undefined && Date.now() - updated.mtimeMs < FRESH_MS;
    if (fresh && force !== true) return;
    onProgress?.(
      `fetching the package lists of Debian ${options.suite} (${options.architecture}, about 10 MB)`,
    );
    const failures: string[] = [];
    for (const candidate of options.locations) {
      for (const suites of suiteSets(options.suite, candidate)) {
        await writeFile(
          join(directory, 'debian.sources'),
          sources(suites, candidate.keyring, options.architecture),
        );
        const result = await run('apt-get', ['update', '--error-on=any'], { signal });
        if (result.exitCode === 0) {
          main = candidate.main;
          await writeFile(stamp, `${candidate.main}\n`);
          return;
        }
        failures.push(result.stderr.trim());
      }
    }
    throw new KilnError(
      'dependency-fetch',
      `the package lists of Debian ${options.suite} could not be fetched`,
      {
        where: failures[0]?.split('\n').slice(0, 8).join('\n') ?? '',
        hint: 'Check with `apt-get update` that this machine reaches its Debian mirror, then try again.',
      },
    );
  };
  const locations = (): ArchiveLocation[] =>
    options.locations.toSorted((a, b) => Number(b.main === main) - Number(a.main === main));
  return { run, update, locations };
}

interface SuiteSource {
  readonly uri: string;
  readonly suites: readonly string[];
}

/** With updates and security first; a mirror that lacks them or has let them expire still gives the suite itself. */
function suiteSets(suite: string, location: ArchiveLocation): SuiteSource[][] {
  const plain: SuiteSource[] = [{ uri: location.main, suites: [suite] }];
  const full: SuiteSource[] = [{ uri: location.main, suites: [suite, `${suite}-updates`] }];
  if (location.security !== undefined) full.push({ uri: location.security, suites: [`${suite}-security`] });
  return [full, plain];
}

function sources(entries: readonly SuiteSource[], keyring: string, architecture: string): string {
  return entries
    .map(({ uri, suites }) =>
      [
        'Types: deb',
        `URIs: ${uri}`,
        `Suites: ${suites.join(' ')}`,
        'Components: main',
        `Architectures: ${architecture}`,
        'Targets: Packages',
        'PDiffs: no',
        `Signed-By: ${keyring}`,
        '',
      ].join('\n'),
    )
    .join('\n');
}

/** Read after the machine's own configuration, so its proxy settings hold and its hooks do not. */
function configuration(directory: string, architecture: string): string {
  return `#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Update::Pre-Invoke;
#clear APT::Architectures;
APT::Architecture "${architecture}";
APT::Architectures { "${architecture}"; };
APT::Install-Recommends "false";
APT::Install-Suggests "false";
APT::Sandbox::User "root";
Acquire::GzipIndexes "false";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::ForceHash "SHA256";
Dir::State "${directory}";
Dir::State::lists "${directory}/lists";
Dir::State::status "${directory}/status";
Dir::Cache "${directory}/cache";
Dir::Cache::archives "${directory}/cache/archives";
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "";
Dir::Etc::sourcelist "${directory}/debian.sources";
Dir::Etc::sourceparts "${directory}/empty";
Dir::Etc::preferences "${directory}/empty/preferences";
Dir::Etc::preferencesparts "${directory}/empty";
Dir::Log "${directory}/empty";
`;
}
