/** What a build does not do again, and what two builds do once. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readlinkSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { BuildView } from '../src/pipeline/build-view.ts';
import { nixOnPath } from '../src/nix/nix-installation.ts';
import { runNix } from '../src/nix/run-nix.ts';
import {
  buildExpression,
  derivation,
  kilnHome,
  nixString,
  parseBuild,
  runKiln,
  type CliResult,
} from './harness/kiln-cli.ts';
import { startServer, type KilnServer } from './harness/kiln-server.ts';

const home = kilnHome('[limits]\nconcurrentBuilds = 2\n');
let server: KilnServer;

before(async () => {
  server = await startServer(home);
});

after(async () => {
  await server?.[Symbol.asyncDispose]();
  home[Symbol.dispose]();
});

const kiln = (...args: string[]): Promise<CliResult> =>
  runKiln(home, args, { env: { KILN_URL: server.url } });

async function build(expression: string, ...args: string[]): Promise<BuildView> {
  const result = await buildExpression(home, expression, args, { env: { KILN_URL: server.url } });
  return result.build;
}

function step(of: BuildView, name: string): BuildView['steps'][number] {
  const found = of.steps.find((candidate) => candidate.name === name);
  if (found === undefined) throw new Error(`no step ${name}`);
  return found;
}

/** An application of the basis; `text` is what it prints. */
function app(text: string, script = `echo ${text}`, comment = ''): string {
  return `with import <nixpkgs> {}; ${comment} writeShellApplication { name = "app"; text = ${nixString(script)}; }`;
}

test('the same source is neither evaluated nor built nor made into an image again, nor started', async () => {
  const text = randomUUID();
  const first = await build(app(text), '--name', 'same');
  assert.equal(first.status, 'success', JSON.stringify(first.reason));
  for (const name of ['dependencies', 'build', 'image']) assert.equal(step(first, name).reused, undefined);

  const second = await build(app(text), '--name', 'same');
  for (const name of ['dependencies', 'build', 'image'])
    assert.equal(step(second, name).reused, true, `${name}: ${step(second, name).detail}`);
  assert.equal(second.image?.digest, first.image?.digest);
  assert.match(step(second, 'image').detail ?? '', /started before/);
  assert.deepEqual(second.startChecks, first.startChecks);

  // Another text of the same meaning: evaluated, but the derivation is known.
  const third = await build(app(text, undefined, '/* written anew */'), '--name', 'same');
  assert.equal(step(third, 'dependencies').reused, undefined);
  assert.equal(step(third, 'build').reused, true);
  assert.equal(third.drvPath, first.drvPath);
  assert.equal(third.image?.digest, first.image?.digest);
});

test('an image that does not start leaves its tag with the image before, and is tried anew', async () => {
  const good = await build(app('good'), '--name', 'steady');
  assert.equal(good.status, 'success', JSON.stringify(good.reason));
  const bad = app('bad', `echo ${randomUUID()}; exit 9`);
  const failed = await build(bad, '--name', 'steady');
  assert.equal(failed.reason?.code, 'image-does-not-start');
  assert.match(failed.reason?.message ?? '', /does not start: .*ended with exit code 9/);
  assert.match(failed.reason?.hint ?? '', /The tag still names the image before/);
  const image = JSON.parse((await kiln('image', 'steady', '--json')).stdout) as { readonly digest: string };
  assert.equal(image.digest, good.image?.digest);

  const again = await build(bad, '--name', 'steady');
  assert.equal(again.reason?.code, 'image-does-not-start');
  assert.equal(step(again, 'build').reused, true);
});

test('two builds of the same derivation at once build it once', async () => {
  const script = 'echo building; i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo > $out';
  const expression = derivation(`once-${randomUUID()}`, script);
  const both = await Promise.all([build(expression, '--no-image'), build(expression, '--no-image')]);
  assert.deepEqual(
    both.map(({ status }) => status),
    ['success', 'success'],
  );
  assert.equal(both[0]?.drvPath, both[1]?.drvPath);
  const logs = await Promise.all(both.map(({ id }) => kiln('logs', id)));
  const builders = logs.flatMap(({ stdout }) => [...stdout.matchAll(/ building$/gm)]);
  assert.equal(builders.length, 1, logs.map(({ stdout }) => stdout).join('\n'));
  assert.equal(both.filter((one) => step(one, 'build').reused === true).length, 1);
  // They did run at once: the second was in its step before the first had left it.
  const begun = both.map(({ startedAt }) => Date.parse(startedAt ?? ''));
  const ended = both.map(({ endedAt }) => Date.parse(endedAt ?? ''));
  assert.ok(Math.max(...begun) < Math.min(...ended));
});

test('the same source gives the same image under another home, and again with a new plan', async () => {
  const expression = app(randomUUID());
  const here = await build(expression, '--name', 'twin');
  const anew = await build(expression, '--name', 'twin', '--fresh-plan');
  assert.equal(anew.image?.digest, here.image?.digest);
  using other = kilnHome();
  const there = await buildExpression(other, expression, ['--name', 'twin']);
  assert.equal(there.exitCode, 0, there.stderr);
  assert.equal(there.build.image?.digest, here.image?.digest);
  assert.deepEqual(there.build.image?.layers, here.image?.layers);
});

test('an image holds its store paths until it is deleted', async () => {
  const built = await build(app(randomUUID()), '--name', 'held', '--tag', 'v1');
  const out = built.outPaths[0] ?? '';
  const roots = join(home.path, 'roots');
  const links = (names: readonly string[]): string[] =>
    names.filter((name) => readlinkSync(join(roots, name)) === out);
  const holding = links(await readdir(roots));
  assert.ok(holding.some((name) => name.startsWith('manifest-')));
  assert.ok(holding.includes(`build-${built.id}`));
  assert.deepEqual(
    (await readdir(roots)).filter((name) => name.startsWith('drv-')),
    [],
  );
  const known = await runNix(await nixOnPath(), 'nix-store', ['--query', '--roots', out]);
  for (const name of holding) assert.ok(known.stdout.includes(join(roots, name)), known.stdout);

  assert.equal((await kiln('image', 'held:v1', '--delete')).exitCode, 0);
  assert.deepEqual(links(await readdir(roots)), [`build-${built.id}`]);
  const gone = parseBuild(await kiln('show', built.id, '--json'));
  assert.equal(gone.image?.digest, built.image?.digest, 'the build still tells what it made');
});
