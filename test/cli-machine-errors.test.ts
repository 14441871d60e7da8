/** Failures of the machine and of the command line: each with a message, a place, a hint and the right exit code. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { after, test, type TestContext } from 'node:test';
import type { Failure } from '../src/base/error.ts';
import { runProcess } from '../src/process/run-process.ts';
import {
  buildExpression,
  derivation,
  kilnHome,
  parseError,
  runKiln,
  type CliOptions,
} from './harness/kiln-cli.ts';

const home = kilnHome();
after(() => home[Symbol.dispose]());

/** Runs a command that fails before there is a build. */
async function refused(
  args: readonly string[],
  code: Failure['code'],
  exitCode: number,
  options: CliOptions = {},
): Promise<{ readonly message: string; readonly where: string; readonly hint: string }> {
  const result = await runKiln(home, [...args, '--json'], options);
  const error = parseError(result);
  assert.deepEqual([error.code, result.exitCode], [code, exitCode], result.stderr);
  assert.notEqual(error.where ?? '', '', `it does not say where: ${error.message}`);
  assert.notEqual(error.hint ?? '', '', `it does not say what to do: ${error.message}`);
  assert.match(result.stderr, /^error: /m);
  return { message: error.message, where: error.where ?? '', hint: error.hint ?? '' };
}

test('a machine without Nix, where nothing may be installed, is told what to install', async () => {
  const empty = mkdtempSync(join(tmpdir(), 'kiln-empty-'));
  try {
    // The tools of the system without any folder that holds a Nix.
    const tools = join(empty, 'bin');
    mkdirSync(tools);
    for (const name of ['sh', 'readlink', 'env']) {
      const { stdout } = await runProcess('which', [name]);
      symlinkSync(stdout.trim(), join(tools, name));
    }
    const { where, hint } = await refused(['build', '-', '--no-image'], 'tool-missing', 3, {
      stdin: '1',
      env: {
        PATH: [tools].join(delimiter),
        HOME: empty,
        XDG_DATA_HOME: undefined,
        KILN_HOME: join(empty, 'home'),
        KILN_NO_INSTALL: '1',
        NIX_CONF_DIR: undefined,
      },
    });
    assert.ok(where.includes(tools), where);
    assert.match(hint, /Install Nix 2\.24 or newer/);
  } finally {
    rmSync(empty, { recursive: true, force: true });
  }
});

test('a database that cannot be reached is named without its password', async () => {
  const { message, where } = await refused(['build', '-', '--no-image'], 'database-unreachable', 3, {
    stdin: '1',
    env: { DATABASE_URL: `postgres://kiln:s3cret@127.0.0.1:${await closedPort()}/builds` },
  });
  assert.match(message, /connection refused/);
  assert.match(where, /^127\.0\.0\.1:\d+\/builds$/);
});

test('a port that is taken is told with what can be done about it', async () => {
  await using holder = createServer().listen(0, '127.0.0.1');
  await once(holder, 'listening');
  const { port } = holder.address() as AddressInfo;
  const result = await runKiln(home, ['serve', '--listen', `127.0.0.1:${port}`]);
  assert.equal(result.exitCode, 3);
  assert.match(result.stderr, /error: Kiln cannot listen on port \d+: another program listens there/);
  assert.match(result.stderr, new RegExp(`^  127\\.0\\.0\\.1:${port}$`, 'm'));
  assert.match(result.stderr, /hint: End the program.*--listen/);
});

test('a server that is not there is told apart from a build that failed', async () => {
  const { hint } = await refused(['build', '-'], 'unreachable', 3, {
    stdin: '1',
    env: { KILN_URL: `http://127.0.0.1:${await closedPort()}` },
  });
  assert.match(hint, /kiln serve/);
});

test('names and tags that a registry does not allow are refused at once', async () => {
  const name = await refused(['build', '-', '--name', 'My App'], 'invalid-name', 2, { stdin: '1' });
  assert.equal(name.where, 'name: "My App"');
  assert.match(name.hint, /lower-case/);
  const tag = await refused(['build', '-', '--tag', '-v1'], 'invalid-name', 2, { stdin: '1' });
  assert.equal(tag.where, 'tag: "-v1"');
});

test('an unknown template is answered with those that there are', async () => {
  const { hint, where } = await refused(['build', 'template:pyton'], 'invalid-input', 2);
  assert.equal(where, 'template:pyton');
  assert.match(hint, /Did you mean python\? There are node, python, go, static-site/);
});

test('sources that are not there, or are no Nix expression, are refused at once', async () => {
  const text = join(home.path, 'notes.txt');
  writeFileSync(text, 'hello');
  assert.match((await refused(['build', text], 'usage', 2)).hint, /kiln build - </);
  const gone = await refused(['build', join(home.path, 'gone')], 'usage', 2);
  assert.match(gone.hint, /SOURCE is one of/);
  const time = await refused(['build', '-', '--timeout', '2h'], 'invalid-input', 2, { stdin: '1' });
  assert.match(time.where, /buildTimeout/);
});

test('a source that may not be read is named, with who wants to read it', async (context) => {
  const file = join(mkdtempSync(join(tmpdir(), 'kiln-unreadable-')), 'default.nix');
  writeFileSync(file, '1');
  chmodSync(file, 0o000);
  try {
    const uid = process.getuid?.() === 0 ? 65_534 : undefined;
    if (uid !== undefined && !(await canRun(uid)))
      return context.skip('another user cannot read this checkout');
    chmodSync(join(file, '..'), 0o755);
    const { message, where } = await refused(['build', file], 'usage', 2, {
      ...(uid === undefined ? {} : { uid }),
      env: { HOME: '/nonexistent', NODE_COMPILE_CACHE: '/nonexistent' },
    });
    assert.equal(message, 'the source cannot be read');
    assert.equal(where, file);
  } finally {
    rmSync(join(file, '..'), { recursive: true });
  }
});

async function canRun(uid: number): Promise<boolean> {
  const env = { NODE_COMPILE_CACHE: '/nonexistent' };
  return (await runKiln(home, ['--version'], { uid, env })).exitCode === 0;
}

test('a full disk is named, under the source and under the database', async (context) => {
  await withSmallDisk(context, '2m', async (disk) => {
    const big = join(home.path, 'big.txt');
    writeFileSync(big, Buffer.alloc(3 * 2 ** 20, 'x'));
    const { exitCode, build } = await buildExpression(
      home,
      derivation('big', 'echo > $out'),
      ['--no-image', '--file', `big.txt=${big}`],
      { env: { NIX_BUILD_WORKSPACE: join(disk, 'workspace') } },
    );
    assert.deepEqual([build.reason?.code, exitCode], ['disk-full', 3]);
    assert.match(build.reason?.where ?? '', new RegExp(`${disk}/workspace: .* of 2(\\.0)? MiB free`));
    assert.match(build.reason?.hint ?? '', /kiln cache gc/);

    const { where, hint } = await refused(['build', '-'], 'disk-full', 3, {
      stdin: '1',
      env: { KILN_HOME: join(disk, 'home') },
    });
    assert.match(where, /database.*free, .* needed/);
    assert.match(hint, /KILN_HOME/);
  });
});

async function withSmallDisk(
  context: TestContext,
  size: string,
  work: (folder: string) => Promise<void>,
): Promise<void> {
  const disk = mkdtempSync(join(tmpdir(), 'kiln-disk-'));
  const mounted = await runProcess('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', disk]).catch(
    () => undefined,
  );
  try {
    if (mounted?.exitCode !== 0) return context.skip('a small file system cannot be mounted here');
    await work(disk);
  } finally {
    if (mounted?.exitCode === 0) await runProcess('umount', [disk]);
    rmSync(disk, { recursive: true, force: true });
  }
}

/** A port of this machine on which nobody listens. */
async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
