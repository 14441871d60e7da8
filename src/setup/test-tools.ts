/** The programs that only Kiln's own tests use, as peers to test against. */
import { access, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { runProcess } from '../process/run-process.ts';
import type { SetupRun } from './debian-prefix.ts';
import { findProgram } from './find-program.ts';
import { mayInstall } from './install-permission.ts';
import type { Environment } from './kiln-home.ts';

export interface TestTool {
  /** Any of these programs will do. */
  readonly programs: readonly string[];
  /** Debian package that has the first of them. */
  readonly packageName: string;
  readonly neededFor: string;
}

export const TEST_TOOLS: readonly TestTool[] = [
  { programs: ['git'], packageName: 'git', neededFor: 'repositories to build from' },
  { programs: ['sshd'], packageName: 'openssh-server', neededFor: 'Git over SSH' },
  { programs: ['postgres'], packageName: 'postgresql', neededFor: 'records and queue on PostgreSQL' },
  { programs: ['dockerd'], packageName: 'docker.io', neededFor: 'images in the Docker engine' },
  { programs: ['docker'], packageName: 'docker.io', neededFor: 'images in the Docker engine' },
  { programs: ['skopeo'], packageName: 'skopeo', neededFor: 'copies from and to the registry' },
  { programs: ['podman'], packageName: 'podman', neededFor: 'images in Podman' },
  { programs: ['buildah'], packageName: 'buildah', neededFor: 'images in Buildah' },
  { programs: ['zsh'], packageName: 'zsh', neededFor: 'completion in zsh' },
  { programs: ['fish'], packageName: 'fish', neededFor: 'completion in fish' },
  {
    programs: ['chromium', 'google-chrome', 'chrome'],
    packageName: 'chromium',
    neededFor: 'the web interface',
  },
];

export interface MissingTool extends TestTool {
  /** Why it is still missing after an attempt to install it. */
  readonly reason?: string;
}

/** Path of the first program of `tool` that is there. */
export async function findTestTool(
  tool: TestTool,
  env: Environment = process.env,
): Promise<string | undefined> {
  const folders = await serverFolders();
  for (const program of tool.programs) {
    const path = await findProgram(program, env, folders);
    if (path !== undefined) return path;
  }
  return undefined;
}

/** Folders outside PATH where Debian puts PostgreSQL's server programs, newest version first. */
export async function serverFolders(): Promise<string[]> {
  const versions = await readdir('/usr/lib/postgresql').catch(() => []);
  return versions
    .toSorted((a, b) => Number(b) - Number(a))
    .map((version) => join('/usr/lib/postgresql', version, 'bin'));
}

async function missingTestTools(env?: Environment): Promise<TestTool[]> {
  const found = await Promise.all(TEST_TOOLS.map((tool) => findTestTool(tool, env)));
  return TEST_TOOLS.filter((_, index) => found[index] === undefined);
}

/**
 * Installs what is missing with apt-get, if this user may; says first what and why. Never throws for a failed
 * installation: the tools that are still missing are returned, and the tests that need them say so.
 */
export async function installTestTools(run: SetupRun = {}): Promise<MissingTool[]> {
  const env = run.env ?? process.env;
  const missing = await missingTestTools(env);
  if (missing.length === 0) return [];
  const command = installCommand(missing);
  if (!mayInstall(env))
    return missing.map((tool) => ({ ...tool, reason: `not installed; \`${command}\` would` }));
  const prefix = await rightsPrefix(run);
  if (prefix === undefined || (await findProgram('apt-get', env)) === undefined) {
    return missing.map((tool) => ({ ...tool, reason: `no rights to install it; as root: \`${command}\`` }));
  }
  for (const tool of byPackage(missing)) {
    run.onProgress?.(`installing ${tool.packageName} with apt-get, for tests of ${tool.neededFor}`);
  }
  const failure = await aptInstall(
    prefix,
    byPackage(missing).map((tool) => tool.packageName),
    run,
  );
  const left = await missingTestTools(env);
  return left.map((tool) => ({ ...tool, reason: failure ?? 'its package has no such program' }));
}

/** The command that installs the packages of `tools`. */
function installCommand(tools: readonly TestTool[]): string {
  return `apt-get install --no-install-recommends ${byPackage(tools)
    .map((tool) => tool.packageName)
    .join(' ')}`;
}

function byPackage(tools: readonly TestTool[]): TestTool[] {
  return [...new Map(tools.map((tool) => [tool.packageName, tool])).values()];
}

/** How to run something as root: directly, with sudo, or (undefined) not at all. */
async function rightsPrefix(run: SetupRun): Promise<readonly string[] | undefined> {
  if (process.getuid?.() === 0) return [];
  const sudo = await runProcess('sudo', ['-n', 'true'], { env: run.env, signal: run.signal }).catch(
    () => undefined,
  );
  return sudo?.exitCode === 0 ? ['sudo', '-n'] : undefined;
}

/** Gives the last lines of apt's complaint, or undefined when all went well. */
async function aptInstall(
  prefix: readonly string[],
  packages: readonly string[],
  run: SetupRun,
): Promise<string | undefined> {
  const apt = async (args: readonly string[]): Promise<string | undefined> => {
    // RUNLEVEL=1 keeps maintainer scripts from starting the services: the tests start their own.
    const words = [...prefix, 'env', 'DEBIAN_FRONTEND=noninteractive', 'RUNLEVEL=1', 'apt-get', ...args];
    const result = await runProcess(words[0] ?? '', words.slice(1), { env: run.env, signal: run.signal });
    return result.exitCode === 0 ? undefined : result.stderr.trim().split('\n').slice(-4).join('\n');
  };
  const install = [
    'install',
    '--yes',
    '--quiet=2',
    '--no-install-recommends',
    '-o',
    'DPkg::Lock::Timeout=300',
  ];
  const listed = await access('/var/lib/apt/lists/lock').then(
    () => true,
    () => false,
  );
  const first = listed ? await apt([...install, ...packages]) : 'no package lists';
  if (first === undefined) return undefined;
  run.onProgress?.('fetching the package lists of this machine');
  await apt(['update', '--quiet=2']);
  let failure = await apt([...install, ...packages]);
  if (failure === undefined || packages.length === 1) return failure;
  // One package that cannot be had must not keep the others away.
  for (const name of packages) failure = (await apt([...install, name])) ?? failure;
  return failure;
}
