/** The start-up check with real programs under the OCI runtimes of this machine. */
import assert from 'node:assert/strict';
import { copyFile, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { before, describe, test } from 'node:test';
import type { StorePath } from '../src/base/brand.ts';
import { readElf } from '../src/image/elf.ts';
import { checkStart, type StartCheckInput, type StartCheckResult } from '../src/image/start-check.ts';
import { nixOnPath } from '../src/nix/nix-installation.ts';
import { openStoreDatabase } from '../src/nix/open-store-database.ts';
import type { LiteralEntry } from '../src/oci/layer-recipe.ts';
import type { OciRuntime } from '../src/runtime/oci-runtime.ts';
import { selectRuntime } from '../src/runtime/select-runtime.ts';
import { findProgram } from '../src/setup/find-program.ts';
import { parseStorePath, storePathOfFile } from '../src/store/store-path.ts';
import { sourceContext } from './harness/source-context.ts';

let busybox = '';
let storePaths: readonly StorePath[] = [];
const runtimes: OciRuntime[] = [];

before(async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kiln-start-test-'));
  try {
    const nix = await nixOnPath();
    const bin = await sourceContext(folder, nix).nix.programFolder('busybox');
    assert.ok(bin !== undefined);
    busybox = `${bin}/busybox`;
    using store = openStoreDatabase(nix);
    const closure = await store.closure([parseStorePath(storePathOfFile(bin) ?? '')]);
    storePaths = closure.paths.map((info) => info.path);
    for (const name of ['crun', 'runc'] as const) {
      const path = await findProgram(name, process.env);
      if (path === undefined) continue;
      const { runtime } = await selectRuntime([{ name, path }], join(folder, name));
      if (runtime !== undefined) runtimes.push(runtime);
    }
    assert.ok(runtimes.length > 0, 'no OCI runtime works here');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

type Changes = Partial<Omit<StartCheckInput, 'content' | 'program'>> & {
  readonly program?: Partial<StartCheckInput['program']>;
  readonly literals?: readonly LiteralEntry[];
  readonly fill?: (root: string) => Promise<void>;
};

/** Runs `sh -c script` (or `program.args`) in an image that has nothing but BusyBox, /tmp and what `changes` add. */
async function check(script: string, changes: Changes = {}): Promise<StartCheckResult> {
  const { program, literals = [], fill, ...rest } = changes;
  return await checkStart({
    expectation: { kind: 'exit' },
    profile: 'default',
    timeoutMs: 10_000,
    runtime: firstRuntime(),
    ...rest,
    content: {
      storePaths,
      literals: [directory('/tmp', 0o1777), ...literals],
      ...(fill === undefined ? {} : { fill }),
    },
    program: {
      args: [busybox, 'sh', '-c', script],
      env: [`PATH=${dirname(busybox)}`],
      cwd: '/',
      uid: 0,
      gid: 0,
      ...program,
    },
  });
}

function firstRuntime(): OciRuntime {
  const [runtime] = runtimes;
  if (runtime === undefined) throw new Error('Runtimes are known while the tests run');
  return runtime;
}

const times = { uid: 0, gid: 0 };
const directory = (path: string, mode = 0o755): LiteralEntry => ({ type: 'directory', path, mode, ...times });
const file = (path: string, content: string | Buffer, mode = 0o755): LiteralEntry => ({
  type: 'file',
  path,
  mode,
  contentBase64: Buffer.from(content).toString('base64'),
  ...times,
});

/** It did not start, and why is told by name. */
function explained(result: StartCheckResult, reason: RegExp): void {
  assert.equal(result.passed, false, JSON.stringify(result));
  assert.match(result.reason ?? '', reason, JSON.stringify(result));
  assert.notEqual(result.hint ?? '', '');
}

describe('an image that starts', () => {
  const web = 'mkdir -p /tmp/www; echo hi > /tmp/www/index.html; exec busybox httpd -f -p 8080 -h /tmp/www';

  for (const profile of ['default', 'strict'] as const) {
    test(`answers over HTTP and accepts connections (${profile})`, async () => {
      const http = await check(web, { profile, expectation: { kind: 'http', port: 8080, path: '/' } });
      assert.equal(http.passed, true, JSON.stringify(http));
      assert.match(http.detail, /^HTTP 200 after \d+ ms$/);
      const tcp = await check(web, { profile, expectation: { kind: 'tcp', port: 8080 } });
      assert.equal(tcp.passed, true, JSON.stringify(tcp));
    });
  }

  test('ends by itself, or keeps running', async () => {
    assert.equal((await check('exit 0')).detail, 'exit code 0');
    const alive = await check('exec sleep 600', { expectation: { kind: 'alive' } });
    assert.equal(alive.passed, true);
    assert.match(alive.detail, /still running/);
    assert.equal((await check('echo done', { expectation: { kind: 'alive' } })).passed, true);
  });

  test('says whether the program handles SIGTERM or has to be killed', async () => {
    const expectation = { kind: 'alive' } as const;
    const polite = await check('trap "exit 7" TERM; while :; do sleep 0.05; done', { expectation });
    assert.deepEqual([polite.passed, polite.stopsOnSigterm], [true, true]);
    // The first process of a container has no default action for signals.
    const deaf = await check('exec sleep 600', { expectation });
    assert.deepEqual([deaf.passed, deaf.stopsOnSigterm], [true, false]);
    assert.equal((await check('exit 0', { expectation })).stopsOnSigterm, undefined);
  });

  test('gets a user, a read-only root and no capabilities in the strict profile', async () => {
    const script =
      'id -u; touch /here 2>/dev/null || echo refused; touch /tmp/here && echo written; grep CapEff /proc/self/status';
    const { tail } = await check(script, { profile: 'strict' });
    assert.deepEqual(tail, ['1000730000', 'refused', 'written', 'CapEff:\t0000000000000000']);
  });
});

describe('an image that does not start is explained', () => {
  test('a program that ends, with its last words', async () => {
    const result = await check('echo starting; echo "no configuration" >&2; exit 4', {
      expectation: { kind: 'http', port: 8080, path: '/' },
    });
    explained(result, /ended with exit code 4/);
    assert.deepEqual([...result.tail].sort(), ['no configuration', 'starting']);
    assert.equal(result.exitCode, 4);
  });

  test('a service that ends at once, and a task that does not', async () => {
    explained(await check('exit 0', { expectation: { kind: 'tcp', port: 8080 } }), /ended at once/);
    const task = await check('exec sleep 600', { timeoutMs: 300 });
    explained(task, /runs but did not answer \(still running after 300 ms\)/);
  });

  test('a program that listens elsewhere, or answers with an error', async () => {
    const elsewhere = await check('exec busybox httpd -f -p 8081 -h /tmp', {
      expectation: { kind: 'http', port: 8080, path: '/' },
      timeoutMs: 500,
    });
    explained(elsewhere, /did not answer \(GET \/ on port 8080/);
    const error = await check('exec busybox httpd -f -p 8080 -h /tmp', {
      expectation: { kind: 'http', port: 8080, path: '/health' },
      timeoutMs: 500,
    });
    explained(error, /HTTP 404/);
  });

  test('a directory that a user may not write to, and one on a read-only root', async () => {
    explained(
      await check('echo > /data/state', {
        literals: [directory('/data')],
        program: { uid: 1000, gid: 1000 },
      }),
      /permission denied for user 1000: \/data\/state/,
    );
    explained(
      await check('echo > /data/state', { literals: [directory('/data')], profile: 'strict' }),
      /read-only: the program writes to \/data\/state/,
    );
  });

  test('a directory that is missing', async () => {
    explained(await check('echo > /var/lib/app/state'), /missing directory: .*\/var\/lib\/app\/state/);
  });
});

describe('a program that cannot be run is explained under every runtime', () => {
  /** Checks with each runtime of this machine: each has words of its own. */
  async function onEach(changes: Changes, reason: RegExp): Promise<void> {
    for (const runtime of runtimes) explained(await check('', { ...changes, runtime }), reason);
  }
  const run = (path: string): Changes => ({ program: { args: [path] } });

  test('a missing program', async () => {
    await onEach(run('/bin/server'), /missing program.*\/bin\/server/);
  });

  test('a missing interpreter', async () => {
    const script = file('/server', '#!/usr/bin/python3\nprint("hi")\n');
    await onEach(
      { ...run('/server'), literals: [script] },
      /missing program or interpreter: \/server.*first line/,
    );
  });

  test('a program without its executable bit', async () => {
    const script = file('/server', `#!${busybox} sh\nexit 0\n`, 0o644);
    await onEach({ ...run('/server'), literals: [script] }, /\/server is not executable/);
  });

  test('another architecture', async () => {
    const foreign = await readFile(busybox);
    foreign.writeUInt16LE(process.arch === 'arm64' ? 62 : 183, 18);
    await onEach({ ...run('/server'), literals: [file('/server', foreign)] }, /wrong architecture/);
  });

  test('a missing library, and a missing loader', async () => {
    const node = await readFile(process.execPath);
    const loader = readElf((start, length) => node.subarray(start, start + length))?.interpreter;
    assert.ok(loader !== undefined);
    const fill =
      (withLoader: boolean) =>
      async (root: string): Promise<void> => {
        await mkdir(root, { recursive: true });
        await copyFile(process.execPath, join(root, 'server'));
        if (!withLoader) return;
        await mkdir(dirname(join(root, loader)), { recursive: true });
        await copyFile(loader, join(root, loader));
      };
    await onEach({ ...run('/server'), fill: fill(true) }, /missing library: lib\S+ is not in the image/);
    await onEach({ ...run('/server'), fill: fill(false) }, /missing program or interpreter: \/server/);
  });

  test('a missing working directory', async () => {
    const results = await Promise.all(
      runtimes.map((runtime) => check('pwd', { runtime, program: { cwd: '/srv/app' } })),
    );
    for (const result of results) if (!result.passed) explained(result, /missing directory.*\/srv\/app/);
  });
});

test('a check that is cancelled ends its container at once', async () => {
  const cancel = new AbortController();
  const lines: string[] = [];
  const running = check('echo up; exec sleep 600', {
    expectation: { kind: 'tcp', port: 8080 },
    signal: cancel.signal,
    timeoutMs: 60_000,
    onLine: (line) => {
      lines.push(line);
      cancel.abort();
    },
  });
  await assert.rejects(running, { code: 'cancelled' });
  assert.deepEqual(lines, ['up']);
});
