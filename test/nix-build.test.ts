import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { lstatSync, readFileSync, readlinkSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { before, test } from 'node:test';
import type { StorePath } from '../src/base/brand.ts';
import { type KilnError } from '../src/base/error.ts';
import { readBuildLog } from '../src/nix/build-log.ts';
import { queryMissing } from '../src/nix/dry-run.ts';
import { instantiate } from '../src/nix/instantiate.ts';
import type { NixEvent } from '../src/nix/internal-json.ts';
import { type NixInstallation, nixOnPath } from '../src/nix/nix-installation.ts';
import { realise, type RealiseOptions } from '../src/nix/realise.ts';
import { nameOf } from '../src/store/store-path.ts';
import { workFolder } from './harness/work-folder.ts';
import { expectedFailure } from './harness/expected-failure.ts';

let nix: NixInstallation;
before(async () => {
  nix = await nixOnPath();
});

/** Each run has derivations of its own, so that nothing is in the store before. */
const run = randomUUID().slice(0, 8);

/** A derivation expression; `script` runs in the sandbox's /bin/sh. */
function drv(name: string, script: string, more = ''): string {
  return `derivation { name = "${name}"; run = "${run}"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" ''${script}'' ]; ${more} }`;
}

test('a build reports its lines and phases, gives its outputs and holds them by a link', async () => {
  using folder = workFolder();
  const drvPath = await evaluate(
    drv(
      'two',
      `echo to stdout; echo '@nix {"action":"setPhase","phase":"checkPhase"}' >&2; echo to stderr >&2; echo o > $out; echo d > $dev`,
      'outputs = [ "out" "dev" ];',
    ),
  );
  assert.deepEqual((await queryMissing(nix, drvPath)).willBuild, [drvPath]);
  const events: NixEvent[] = [];
  const raw: string[] = [];
  const gcRoot = join(folder.path, 'result');
  const result = await realise(nix, drvPath, {
    gcRoot,
    onEvent: (event) => events.push(event),
    onRawLine: (line) => raw.push(line),
  });
  assert.deepEqual(Object.keys(result.outputs).sort(), ['dev', 'out']);
  assert.equal(readFileSync(result.outputs['dev'] ?? '', 'utf8'), 'd\n');
  assert.equal(readlinkSync(gcRoot), result.outputs['out']);
  assert.equal(readlinkSync(`${gcRoot}-dev`), result.outputs['dev']);
  assert.deepEqual(result.built, [drvPath]);
  const shown = events.filter((event) =>
    ['build-started', 'log', 'phase', 'build-finished'].includes(event.type),
  );
  assert.deepEqual(shown, [
    { type: 'build-started', drvPath },
    { type: 'log', drvPath, line: 'to stdout' },
    { type: 'phase', drvPath, phase: 'checkPhase' },
    { type: 'log', drvPath, line: 'to stderr' },
    { type: 'build-finished', drvPath, ok: true },
  ]);
  assert.ok(raw.length >= events.length);
  assert.match((await readBuildLog(nix, drvPath)) ?? '', /to stdout\n[^]*to stderr\n/);
  assert.deepEqual((await queryMissing(nix, drvPath)).willBuild, []);
  assert.deepEqual((await realise(nix, drvPath, { outputs: ['out'] })).built, []);
});

test('a failing builder is named with its exit code, phase and last lines', async () => {
  const drvPath = await evaluate(
    drv(
      'fails',
      `for i in 1 2 3; do echo line $i; done; echo '@nix {"action":"setPhase","phase":"testPhase"}' >&2; echo broken >&2; exit 7`,
    ),
  );
  const error = await expectedFailure(realise(nix, drvPath));
  assert.equal(error.code, 'build-failed');
  assert.match(error.message, /Building fails failed: its builder ended with exit code 7 in testPhase/);
  assert.equal(error.fields['exitCode'], 7);
  assert.equal(error.where, [drvPath, 'line 1', 'line 2', 'line 3', 'broken'].join('\n'));
});

test('only the last 25 lines are shown', async () => {
  const drvPath = await evaluate(
    drv('chatty', 'i=0; while [ $i -lt 40 ]; do i=$((i+1)); echo line $i; done; exit 1'),
  );
  const error = await expectedFailure(realise(nix, drvPath));
  assert.equal(error.where?.split('\n').length, 26);
  assert.match(error.where ?? '', /\nline 16\n[^]*line 40$/);
});

test('a failure below is blamed on the derivation that failed, not on what needed it', async () => {
  const drvPath = await evaluate(drv('top', `echo \${${drv('below', 'echo cause; exit 2')}} > $out`));
  const error = await expectedFailure(realise(nix, drvPath));
  assert.match(error.message, /Building below failed/);
  assert.equal(nameOf(error.fields['drvPath'] as StorePath), 'below.drv');
  assert.equal(error.fields['neededBy'], drvPath);
  assert.match(error.where ?? '', /\ncause$/);
});

test('a builder that is killed, and one without a result, are told apart', async () => {
  const killed = await expectedFailure(
    realise(nix, await evaluate(drv('killed', "/bin/sh -c 'kill -9 $$'; exit $?"))),
  );
  assert.match(killed.message, /signal 9|exit code 137/);
  assert.match(killed.hint ?? '', /out of memory/);
  const empty = await expectedFailure(realise(nix, await evaluate(drv('empty', 'exit 0'))));
  assert.match(empty.message, /did not create its output `out`/);
});

test('a hash mismatch says which hash to write where', async () => {
  const specified = 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=';
  const drvPath = await evaluate(
    drv(
      'fetched',
      'printf hello > $out',
      `outputHash = "${specified}"; outputHashMode = "flat"; outputHashAlgo = "sha256";`,
    ),
  );
  const error = await expectedFailure(realise(nix, drvPath));
  const got = 'sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=';
  assert.equal(error.code, 'hash-mismatch');
  assert.deepEqual(
    [error.fields['name'], error.fields['specified'], error.fields['got']],
    ['fetched', specified, got],
  );
  assert.ok(error.hint?.includes(`write \`${got}\` where the expression has \`${specified}\``));
});

test('a derivation for another machine is refused with what is missing', async () => {
  const system = await expectedFailure(
    realise(
      nix,
      await evaluate(drv('foreign', 'exit 0').replace('builtins.currentSystem', '"riscv64-linux"')),
    ),
  );
  assert.match(system.message, /has not the system riscv64-linux/);
  const feature = await expectedFailure(
    realise(nix, await evaluate(drv('special', 'exit 0', 'requiredSystemFeatures = [ "quantum" ];'))),
  );
  assert.match(feature.message, /has not the features quantum/);
});

test('a full disk is called that', async () => {
  const error = await expectedFailure(
    realise(
      nix,
      await evaluate(drv('full', 'echo "cp: error writing: No space left on device" >&2; exit 1')),
    ),
  );
  assert.equal(error.code, 'disk-full');
});

test('a build without the network cannot have it', async () => {
  const drvPath = await evaluate(drv('offline', 'cat /proc/net/route > $out; cat /proc/net/dev'));
  const { outputs } = await realise(nix, drvPath);
  assert.equal(
    readFileSync(outputs['out'] ?? '', 'utf8')
      .trim()
      .split('\n').length,
    1,
    'there is a route',
  );
});

test('a time limit, a silent builder and cancelling end every process, and the next build is not blocked', async () => {
  const marker = String(30_000 + Number.parseInt(run.slice(0, 4), 16));
  const drvPath = await evaluate(drv('slow', `echo started; (sleep ${marker}; true) & sleep ${marker}`));
  const timedOut = await expectedFailure(realise(nix, drvPath, { deadlineMs: 1500 }));
  assert.equal(timedOut.code, 'timed-out');
  assert.match(timedOut.where ?? '', /-slow\.drv\nstarted$/);
  assert.deepEqual(await sleeping(marker), []);

  const silent = await expectedFailure(realise(nix, drvPath, { silenceMs: 1000 }));
  assert.equal(silent.code, 'silent-too-long');
  assert.equal(silent.fields['drvPath'], drvPath);
  assert.deepEqual(await sleeping(marker), []);

  const cancelled = await cancelWhenStarted(drvPath, {});
  assert.equal(cancelled.code, 'cancelled');
  assert.deepEqual(await sleeping(marker), []);
  // A lock left behind would make this one wait for ever.
  assert.equal((await expectedFailure(realise(nix, drvPath, { deadlineMs: 1500 }))).code, 'timed-out');
  assert.deepEqual(await sleeping(marker), []);
});

test('a derivation that is gone is a missing path', async () => {
  const error = await expectedFailure(
    realise(nix, '/nix/store/d95xp2h0wisi6cmij9ignxg6v4ax3ky1-gone.drv' as StorePath),
  );
  assert.equal(error.code, 'store-path-missing');
});

async function evaluate(expression: string): Promise<StorePath> {
  using folder = workFolder();
  const file = folder.write('default.nix', expression);
  const result = await instantiate(
    nix,
    { type: 'file', file, args: {} },
    { nixPath: {}, restricted: true, sourceDirectory: folder.path },
  );
  assert.ok(lstatSync(result.drvPath).isFile());
  return result.drvPath;
}

async function cancelWhenStarted(drvPath: StorePath, options: RealiseOptions): Promise<KilnError> {
  const controller = new AbortController();
  const onEvent = (event: NixEvent): void => {
    if (event.type === 'log') controller.abort();
  };
  return await expectedFailure(realise(nix, drvPath, { ...options, signal: controller.signal, onEvent }));
}

/** Processes of this machine, sandboxed ones included, whose arguments hold `marker`. */
async function sleeping(marker: string): Promise<string[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  return pids.filter((pid) => commandLine(pid).includes(`sleep\0${marker}\0`));
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
  } catch {
    return '';
  }
}
