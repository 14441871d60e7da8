/** The queue of a server, from the command line: waiting, superseding, cancelling, trying again. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, test } from 'node:test';
import { connectHttp } from '../src/api/http-client.ts';
import type { KilnApi } from '../src/api/kiln-api.ts';
import { parseBuildRequest } from '../src/pipeline/build-request.ts';
import type { BuildView } from '../src/pipeline/build-view.ts';
import { derivation, kilnHome, parseBuild, runKiln, type CliResult } from './harness/kiln-cli.ts';
import { startServer, type KilnServer } from './harness/kiln-server.ts';

const home = kilnHome('[limits]\nconcurrentBuilds = 1\n');
let server: KilnServer;
let api: KilnApi;

before(async () => {
  server = await startServer(home);
  api = connectHttp(server.url, { signal: new AbortController().signal });
});

after(async () => {
  await server?.[Symbol.asyncDispose]();
  home[Symbol.dispose]();
});

const kiln = (...args: string[]): Promise<CliResult> =>
  runKiln(home, args, { env: { KILN_URL: server.url } });

/** Runs until it is ended. */
const endless = (): string => derivation(`endless-${randomUUID()}`, 'echo begun; while :; do :; done');

async function queue(expression: string): Promise<BuildView> {
  return await api.createBuild(
    parseBuildRequest({ source: { kind: 'expression', expression }, image: false }),
  );
}

async function queueGit(serviceId: string, ref: string): Promise<BuildView> {
  const source = { kind: 'git', url: 'https://forge.example/app.git', ref };
  return await api.createBuild(parseBuildRequest({ source, serviceId, image: false }));
}

/** Waits for a state of the build; the test's own time limit ends the wait. */
async function until(id: string, reached: (build: BuildView) => boolean): Promise<BuildView> {
  for (;;) {
    const build = await api.getBuild(id);
    if (reached(build)) return build;
    await sleep(50);
  }
}

async function untilBegun(id: string): Promise<void> {
  for await (const event of api.followBuild(id, { signal: new AbortController().signal }))
    if (event.type === 'log' && event.line.text === 'begun') return;
}

const hasEnded = (build: BuildView): boolean => !['pending', 'building'].includes(build.status);

/** Processes that carry the build's mark, and builders of its derivation. */
function processesOf(build: BuildView): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      const environment = readFileSync(`/proc/${pid}/environ`, 'utf8');
      return (
        environment.includes(`KILN_ATTEMPT=${build.id}/`) ||
        environment.includes(`\0name=${nameOfDerivation(build)}\0`)
      );
    } catch {
      return false;
    }
  });
}

function nameOfDerivation(build: BuildView): string {
  return /-(endless-.*)\.drv$/.exec(build.drvPath ?? '')?.[1] ?? 'unknown';
}

test('what waits shows its place and the reason', async () => {
  const running = await queue(endless());
  await until(running.id, (build) => build.status === 'building');
  const next = await queue(endless());
  const last = await queue(endless());
  assert.deepEqual((await api.getBuild(next.id)).queue, {
    position: 1,
    reason: 'waiting for the only build slot',
  });
  assert.equal((await api.getBuild(last.id)).queue?.position, 2);
  assert.match((await kiln('builds')).stdout, /· 2\. waiting for the only build slot/);

  const cancelled = parseBuild(await kiln('cancel', next.id, '--json'));
  assert.equal(cancelled.status, 'cancelled');
  assert.equal((await api.getBuild(last.id)).queue?.position, 1);
  for (const { id } of [last, running]) await api.cancelBuild(id);
  await until(running.id, hasEnded);
});

test('the newest push to a branch supersedes what waits for it, and nothing else', async () => {
  const running = await queue(endless());
  await until(running.id, (build) => build.status === 'building');
  const old = await queueGit('web', 'main');
  const otherBranch = await queueGit('web', 'next');
  const otherService = await queueGit('api', 'main');
  const newest = await queueGit('web', 'main');
  const superseded = await api.getBuild(old.id);
  assert.equal(superseded.status, 'cancelled');
  assert.match(superseded.reason?.message ?? '', new RegExp(`Superseded by build ${newest.id}`));
  for (const { id } of [otherBranch, otherService, newest]) {
    assert.equal((await api.getBuild(id)).status, 'pending');
    await api.cancelBuild(id);
  }
  await api.cancelBuild(running.id);
  await until(running.id, hasEnded);
});

test('cancelling a running build ends all its programs and leaves nothing half-made', async () => {
  const running = await queue(endless());
  await untilBegun(running.id);
  const before = await api.getBuild(running.id);
  assert.ok(processesOf(before).length >= 2, 'Nix carries the mark of the attempt, and a builder runs');
  assert.equal((await kiln('cancel', running.id)).exitCode, 0);
  const cancelled = await until(running.id, hasEnded);
  assert.equal(cancelled.status, 'cancelled');
  assert.equal(cancelled.steps.find((step) => step.name === 'build')?.status, 'cancelled');
  assert.deepEqual(processesOf(before), []);
  const left = readdirSync(join(home.path, 'roots')).filter((name) => name.includes(running.id));
  assert.deepEqual(left, []);
  const incoming = join(home.path, 'builds', 'incoming');
  assert.deepEqual(existsSync(incoming) ? readdirSync(incoming) : [], []);
  assert.equal((await kiln('cancel', running.id)).exitCode, 1, 'it has ended already');
});

test('Ctrl-C cancels the build on the server', async () => {
  const interrupt = new AbortController();
  const done = runKiln(home, ['build', '-', '--no-image', '--logs'], {
    stdin: endless(),
    env: { KILN_URL: server.url },
    signal: interrupt.signal,
  });
  let [build] = await api.listBuilds({ limit: 1 });
  while (build?.status !== 'building') {
    await sleep(50);
    [build] = await api.listBuilds({ limit: 1 });
  }
  await untilBegun(build.id);
  interrupt.abort();
  const result = await done;
  assert.notEqual(result.exitCode, 0);
  assert.match(result.stderr, /error: Cancelled by request/);
  assert.equal((await until(build.id, hasEnded)).status, 'cancelled');
});

test('a retry is another attempt of the same build, and keeps the log of the first', async () => {
  const failing = await queue(derivation(`fails-${randomUUID()}`, 'echo "no such thing"; exit 5'));
  assert.equal((await until(failing.id, hasEnded)).attempt, 1);
  const retried = await kiln('retry', failing.id, '--json');
  assert.equal(retried.exitCode, 1);
  const build = parseBuild(retried);
  assert.deepEqual([build.id, build.attempt, build.status], [failing.id, 2, 'failed']);
  for (const attempt of ['1', '2']) {
    const { stdout } = await kiln('logs', failing.id, '--attempt', attempt);
    assert.equal([...stdout.matchAll(/ fails-\S+ no such thing$/gm)].length, 1, stdout);
  }
  assert.equal((await kiln('logs', failing.id, '--attempt', '3')).exitCode, 1);
});
