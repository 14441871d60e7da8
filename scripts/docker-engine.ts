/** A Docker engine for the tests: the one that runs already, else one of our own in a temporary folder. */
import { spawn } from 'node:child_process';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isAlive, killTree } from '../src/process/kill-tree.ts';
import { runProcess } from '../src/process/run-process.ts';
import type { SetupRun } from '../src/setup/debian-prefix.ts';
import { findProgram } from '../src/setup/find-program.ts';

const START_MS = 30_000;

export interface DockerEngine extends AsyncDisposable {
  /** To be added to the environment: DOCKER_HOST of an engine that was started here. */
  readonly env: Readonly<Record<string, string>>;
  /** Why there is none. */
  readonly missing?: string;
}

/** Never throws for an engine that does not start: the tests that need one say why they were skipped. */
export async function useDockerEngine(run: SetupRun): Promise<DockerEngine> {
  const none = (missing?: string): DockerEngine => ({ env: {}, missing, async [Symbol.asyncDispose]() {} });
  if (await answers({}, run)) return none();
  const dockerd = await findProgram('dockerd', run.env);
  if (dockerd === undefined) return none('dockerd is not installed');
  if (process.getuid?.() !== 0) return none('no Docker engine runs, and only root can start one');
  run.onProgress?.('starting a Docker engine in a temporary folder');
  return await startEngine(dockerd, run, none);
}

async function startEngine(
  dockerd: string,
  run: SetupRun,
  none: (missing: string) => DockerEngine,
): Promise<DockerEngine> {
  const folder = await mkdtemp(join(tmpdir(), 'kiln-docker-'));
  const socket = `unix://${join(folder, 'docker.sock')}`;
  const places = [
    '--data-root',
    join(folder, 'data'),
    '--exec-root',
    join(folder, 'exec'),
    '--pidfile',
    join(folder, 'pid'),
  ];
  await using log = await open(join(folder, 'log'), 'w');
  const child = spawn(dockerd, [...places, '--host', socket], {
    env: run.env === undefined ? process.env : { ...run.env },
    stdio: ['ignore', log.fd, log.fd],
    detached: true,
  });
  child.on('error', () => undefined); // seen below as an engine that does not answer
  const pid = child.pid;
  const stop = async (): Promise<void> => {
    if (pid !== undefined && isAlive(pid)) await killTree(pid, 15_000);
    await rm(folder, { recursive: true, force: true, maxRetries: 5 }).catch(() => undefined);
  };
  const env = { DOCKER_HOST: socket };
  const deadline = performance.now() + START_MS;
  while (performance.now() < deadline && child.exitCode === null && !run.signal?.aborted) {
    if (await answers(env, run)) return { env, [Symbol.asyncDispose]: stop };
    await sleep(300);
  }
  const said = (await readFile(join(folder, 'log'), 'utf8').catch(() => '')).trim().split('\n').slice(-1)[0];
  await stop();
  return none(`dockerd did not start: ${said}`);
}

async function answers(env: Readonly<Record<string, string>>, run: SetupRun): Promise<boolean> {
  const result = await runProcess('docker', ['version', '--format', '{{.Server.Version}}'], {
    env: { ...run.env, ...env },
    signal: run.signal,
    deadlineMs: 10_000,
  }).catch(() => undefined);
  return result?.exitCode === 0;
}
