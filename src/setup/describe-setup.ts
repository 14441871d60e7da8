/** What Kiln uses on this machine, what of it is there, and how to get the rest: the table of `kiln doctor`. */
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { runProcess } from '../process/run-process.ts';
import type { SetupRun } from './debian-prefix.ts';
import { findNix, OLDEST_NIX } from './find-nix.ts';
import { findProgram } from './find-program.ts';
import { mayInstall } from './install-permission.ts';
import { kilnHome } from './kiln-home.ts';
import { findTestTool, TEST_TOOLS } from './test-tools.ts';
import { findWorkingRuntime } from './working-runtime.ts';

export interface SetupEntry {
  readonly name: string;
  readonly found: boolean;
  readonly version?: string;
  /** Absolute path of the program or folder. */
  readonly path?: string;
  readonly neededFor: string;
  /** How to get it; empty when it is there. */
  readonly howToGet: string;
  /** `required`: nothing builds without it. `automatic`: Kiln installs it itself. `tests`: only Kiln's own tests. */
  readonly need: 'required' | 'automatic' | 'tests';
}

/** In the order of importance; runs each program's `--version` at most once. */
export async function describeSetup(run: SetupRun = {}): Promise<SetupEntry[]> {
  return [
    node(),
    await git(run),
    await nix(run),
    await sandbox(run),
    await runtime(run),
    await apt(run),
    await home(run),
    ...(await Promise.all(
      TEST_TOOLS.filter((tool) => tool.packageName !== 'git').map((tool) => testTool(tool, run)),
    )),
  ];
}

type Draft = Omit<SetupEntry, 'found' | 'howToGet'> & { readonly howToGet: string };

function entry(found: boolean, draft: Draft): SetupEntry {
  return { ...draft, found, howToGet: found ? '' : draft.howToGet };
}

function node(): SetupEntry {
  return entry(true, {
    name: 'Node.js',
    version: process.versions.node,
    path: process.execPath,
    neededFor: 'Kiln itself',
    howToGet: '',
    need: 'required',
  });
}

async function git(run: SetupRun): Promise<SetupEntry> {
  const path = await findProgram('git', run.env);
  const version = path === undefined ? undefined : await printedVersion(path, run);
  return entry(path !== undefined, {
    name: 'Git',
    version,
    path,
    neededFor: 'sources from repositories, and flakes',
    howToGet: 'apt-get install git',
    need: 'required',
  });
}

async function nix(run: SetupRun): Promise<SetupEntry> {
  const found = await findNix(run);
  return entry(found !== undefined, {
    name: 'Nix',
    version: found?.version,
    path: found === undefined ? undefined : join(found.binDir, 'nix'),
    neededFor: 'evaluation and builds',
    howToGet: automatically(run, `Install Nix ${OLDEST_NIX} or newer and put it on PATH.`),
    need: 'automatic',
  });
}

/** Whether namespaces work is asked of the kernel; Nix's own build shows it again when it is installed. */
async function sandbox(run: SetupRun): Promise<SetupEntry> {
  const args =
    process.getuid?.() === 0 ? ['--mount', '--pid', '--fork'] : ['--user', '--map-root-user', '--mount'];
  const made = await runProcess('unshare', [...args, 'true'], { env: run.env, signal: run.signal }).catch(
    () => undefined,
  );
  return entry(made?.exitCode === 0, {
    name: 'namespaces',
    neededFor: 'the sandbox that builds and containers run in',
    howToGet:
      'Allow them with `sysctl -w kernel.unprivileged_userns_clone=1`; in a container, start it with `--privileged` or ' +
      '`--security-opt seccomp=unconfined --cap-add SYS_ADMIN`.',
    need: 'required',
  });
}

async function runtime(run: SetupRun): Promise<SetupEntry> {
  const { runtime: found, problems } = await findWorkingRuntime(run, join(kilnHome(run.env), 'runtime'));
  const version = found === undefined ? undefined : await printedVersion(found.path, run);
  return entry(found !== undefined, {
    name: 'OCI runtime',
    version: found === undefined ? undefined : `${found.name} ${version ?? 'unknown'}`,
    path: found?.path,
    neededFor: 'the start-up check of images, and `kiln run`',
    howToGet: [...problems, automatically(run, 'apt-get install crun')].join('\n'),
    need: 'automatic',
  });
}

async function apt(run: SetupRun): Promise<SetupEntry> {
  const path = await findProgram('apt-get', run.env);
  return entry(path !== undefined, {
    name: 'apt',
    version: path === undefined ? undefined : await printedVersion(path, run),
    path,
    neededFor: 'packages of the basis, and installing Nix',
    howToGet: 'Use a machine with Debian 12 or newer, or bring Nix and nixpkgs.',
    need: 'required',
  });
}

async function home(run: SetupRun): Promise<SetupEntry> {
  const path = kilnHome(run.env);
  return entry(
    await access(path).then(
      () => true,
      () => false,
    ),
    {
      name: 'data folder',
      path,
      neededFor: 'records, logs, registry and installed programs',
      howToGet: 'It is made by the first command that needs it; KILN_HOME names another place.',
      need: 'automatic',
    },
  );
}

async function testTool(tool: (typeof TEST_TOOLS)[number], run: SetupRun): Promise<SetupEntry> {
  const path = await findTestTool(tool, run.env);
  return entry(path !== undefined, {
    name: tool.programs[0] ?? tool.packageName,
    path,
    neededFor: `tests of ${tool.neededFor}`,
    howToGet: automatically(run, `apt-get install --no-install-recommends ${tool.packageName}`),
    need: 'tests',
  });
}

function automatically(run: SetupRun, byHand: string): string {
  return mayInstall(run.env) ? `Installed when first needed. By hand: ${byHand}` : byHand;
}

async function printedVersion(path: string, { env, signal }: SetupRun): Promise<string | undefined> {
  const result = await runProcess(path, ['--version'], { env, signal, deadlineMs: 20_000 }).catch(
    () => undefined,
  );
  return /\d+\.\d+\S*/.exec(result?.stdout ?? '')?.[0];
}
