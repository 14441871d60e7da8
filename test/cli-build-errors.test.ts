/** Builds that fail: what the program prints, and how it ends. One server for all, so that each build is quick. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, test } from 'node:test';
import type { BuildView } from '../src/pipeline/build-view.ts';
import { buildExpression, derivation, kilnHome, nixString, parseError, runKiln } from './harness/kiln-cli.ts';
import { startServer, type KilnServer } from './harness/kiln-server.ts';

const home = kilnHome();
let server: KilnServer;

before(async () => {
  server = await startServer(home);
});

after(async () => {
  await server?.[Symbol.asyncDispose]();
  home[Symbol.dispose]();
});

interface Failed {
  readonly build: BuildView;
  readonly message: string;
  readonly where: string;
  readonly hint: string;
  readonly stderr: string;
}

/** The build failed with `code`, and said what, where and what to do, both as JSON and as text. */
async function failing(expression: string, code: string, args: readonly string[] = []): Promise<Failed> {
  const { exitCode, build, stderr } = await buildExpression(home, expression, ['--no-image', ...args], {
    env: { KILN_URL: server.url },
  });
  assert.equal(exitCode, 1, stderr);
  assert.equal(build.status, 'failed');
  const { message, where = '', hint = '' } = build.reason ?? { message: '' };
  assert.equal(build.reason?.code, code, JSON.stringify(build.reason));
  assert.notEqual(where, '', 'it does not say where');
  assert.notEqual(hint, '', 'it does not say what to do');
  return { build, message, where, hint, stderr };
}

test('wrong syntax is shown with its line and column', async () => {
  const { message, where, build } = await failing('{\n  a = 1\n}', 'syntax-error');
  assert.match(message, /syntax error, unexpected '}', expecting ';'/);
  assert.match(where, /^expression:3:1\n/);
  assert.equal(build.steps.find((step) => step.name === 'dependencies')?.status, 'failed');
});

test('a missing attribute is shown where it is used, with the one that was meant', async () => {
  const { where, hint } = await failing('let pkgs = { nodejs = 1; };\nin pkgs.nodejss', 'evaluation-failed');
  assert.match(where, /^expression:2:4\n.*\n2\| in pkgs\.nodejss/s);
  assert.match(hint, /Did you mean nodejs\?/);
});

test('an attribute chosen on the command line that does not exist is answered with those that do', async () => {
  const expression = `{ web = ${derivation('web', ':')}; api = ${derivation('api', ':')}; }`;
  const { message, hint } = await failing(expression, 'evaluation-failed', ['-A', 'wbe']);
  assert.match(message, /no attribute `wbe`/);
  assert.match(hint, /Did you mean web\? Choose one with --attr: api, web\./);
});

test('infinite recursion is shown with the value that needs itself', async () => {
  const { message, where } = await failing('let a = b; b = a; in a', 'evaluation-failed');
  assert.match(message, /infinite recursion/);
  assert.match(where, /^expression:1:9\n/);
});

test('a failing builder shows its exit code and its last lines', async () => {
  const script =
    'i=0; while [ $i -lt 60 ]; do i=$((i+1)); echo line $i; done; echo "no such module" >&2; exit 3';
  const expression = derivation(`broken-${randomUUID()}`, script);
  const { message, where } = await failing(expression, 'build-failed');
  assert.match(message, /Building broken-\S+ failed: its builder ended with exit code 3/);
  assert.match(where, /\.drv\n[^]*line 60\nno such module$/);
  assert.doesNotMatch(where, /^line 1$/m);
});

test('a hash mismatch says which hash belongs where', async () => {
  const wrong = `sha256-${'A'.repeat(43)}=`;
  const fixed = `outputHash = "${wrong}"; outputHashMode = "flat"; outputHashAlgo = "sha256";`;
  const { hint, where } = await failing(
    derivation(`source-${randomUUID()}`, 'echo hello > $out', fixed),
    'hash-mismatch',
  );
  assert.match(where, /specified: sha256-A+=\n\s+got: sha256-\S+=/);
  const got = /got: (\S+)/.exec(where)?.[1] ?? '';
  assert.ok(hint.includes(`write \`${got}\` where the expression has \`${wrong}\``), hint);
});

test('the time limit says what it interrupted', async () => {
  const { message, where, hint } = await failing(
    derivation(`slow-${randomUUID()}`, 'echo begun; while :; do :; done'),
    'timed-out',
    ['--timeout', '3s'],
  );
  assert.match(message, /did not end within 3 s/);
  assert.match(where, /^in the step build\n.*slow-.*\.drv\nbegun$/s);
  assert.match(hint, /--timeout/);
});

test('the shortest time limit ends a build in whatever step it is', async () => {
  const { message, where } = await failing(
    derivation(`slow-${randomUUID()}`, 'while :; do :; done'),
    'timed-out',
    ['--timeout', '1s'],
  );
  assert.match(message, /did not end within 1 s/);
  assert.match(where, /^in the step \w+/);
});

test('a silent builder is ended and named', async () => {
  const { message, where, hint } = await failing(
    derivation(`silent-${randomUUID()}`, 'echo begun; while :; do :; done'),
    'silent-too-long',
    ['--silence', '1s'],
  );
  assert.match(message, /Building silent-\S+ printed nothing for 1 s/);
  assert.match(where, /\.drv\nbegun/);
  assert.match(hint, /--silence/);
});

test('a builder that fills the disk is told from one that fails', async () => {
  const script = 'echo "write error: No space left on device" >&2; exit 1';
  const interrupt = new AbortController();
  const run = buildExpression(home, derivation(`full-${randomUUID()}`, script), ['--no-image'], {
    env: { KILN_URL: server.url },
    signal: interrupt.signal,
  });
  // The machine's fault is tried again after a while; interrupting ends that wait.
  while ((await newestReason()) !== 'disk-full') await sleep(200);
  interrupt.abort();
  const { build } = await run;
  assert.equal(build.status, 'cancelled');
  const log = await runKiln(home, ['logs', build.id], { env: { KILN_URL: server.url } });
  assert.match(log.stdout, /The disk is full/);
});

async function newestReason(): Promise<string | undefined> {
  const answer = await fetch(`${server.url}/api/v1/builds?limit=1`);
  const [newest] = (await answer.json()) as { reason?: { code: string } }[];
  return newest?.reason?.code;
}

test('a folder of the machine is refused to requests from the network', async () => {
  const result = await runKiln(home, ['build', home.path, '--json'], { env: { KILN_URL: server.url } });
  assert.equal(result.exitCode, 1);
  const error = parseError(result);
  assert.equal(error.code, 'forbidden');
  assert.match(error.hint ?? '', /URL of a Git repository|expression/);
});

test('what is printed has the three parts and the commands that come next', async () => {
  const expression = derivation(`broken-${randomUUID()}`, 'echo why; exit 1');
  const { stderr, exitCode } = await runKiln(home, ['build', '-', '--no-image'], {
    stdin: expression,
    env: { KILN_URL: server.url },
  });
  assert.equal(exitCode, 1);
  assert.match(
    stderr,
    /✗ build[^]*error: Building broken-\S+ failed[^]*\n {2}\/nix\/store\/\S+\n {2}why\n\nhint: [^]*kiln logs build-\w+ · again: kiln retry build-\w+/,
  );
  assert.ok(!stderr.includes(nixString(home.path)));
});
