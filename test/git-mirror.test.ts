import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  truncateSync,
  writeFileSync,
  chmodSync,
  rmSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isKilnError } from '../src/base/error.ts';
import { Secret } from '../src/base/secret.ts';
import { cloneRepository } from '../src/git/clone-repository.ts';
import { parseGitUrl } from '../src/git/git-url.ts';
import { evictMirrors, mirrorPath } from '../src/git/mirror.ts';
import { lockName } from '../src/process/name-lock.ts';
import { commit, git, makeRepository, testFolder } from './harness/git-fixture.ts';
import { startGitHttpServer } from './harness/git-http-server.ts';

test('a second clone through the mirror asks only for the refs, and a third fetches only what is new', async () => {
  using folder = testFolder();
  const { path, commits } = makeRepository(join(folder.path, 'origin'));
  let fetches = 0;
  await using server = await startGitHttpServer(path, {
    onRequest: (request) => {
      if (request.method === 'POST') fetches++;
    },
  });
  const mirrorDir = join(folder.path, 'mirrors');
  const clone = async (name: string, extra = {}): Promise<Awaited<ReturnType<typeof cloneRepository>>> =>
    await cloneRepository(parseGitUrl(server.url), join(folder.path, name), {
      policy: { allowLoopback: true },
      mirrorDir,
      ...extra,
    });
  const first = await clone('one');
  const once = fetches;
  const second = await clone('two');
  assert.equal(fetches - once, 1, 'ls-remote alone');
  assert.equal(second.tree, first.tree);
  assert.equal(git(second.directory, 'status', '--porcelain'), '');
  const next = commit(path, { 'new.txt': 'new\n' }, 'Fourth');
  const third = await clone('three');
  assert.equal(third.commit.sha, next);
  assert.equal(git(third.directory, 'rev-list', '--count', 'HEAD'), '1');
  assert.equal((await clone('branch', { ref: 'feature/login' })).branch, 'feature/login');
  assert.equal((await clone('whole', { depth: 0 })).commit.sha, next);
  assert.equal(git(join(folder.path, 'whole'), 'rev-list', '--count', 'HEAD'), '4');
  assert.equal((await clone('old', { ref: commits[0] })).commit.sha, commits[0]);
  assert.equal(git(join(folder.path, 'old'), 'fsck', '--connectivity-only', '--no-dangling'), '');
});

test('a mirror gives nothing to who cannot read the repository', async () => {
  using folder = testFolder();
  const { path, commits } = makeRepository(join(folder.path, 'origin'));
  await using server = await startGitHttpServer(path, { basic: 'oauth2:tok_5Qm1xPz8Rw3k' });
  const clone = async (name: string, token: string): Promise<unknown> =>
    await cloneRepository(parseGitUrl(server.url), join(folder.path, name), {
      policy: { allowLoopback: true },
      mirrorDir: join(folder.path, 'mirrors'),
      ref: commits[2],
      credentials: { accessToken: new Secret(token) },
    });
  await clone('owner', 'tok_5Qm1xPz8Rw3k');
  await assert.rejects(
    clone('other', 'tok_of_somebody_else'),
    (error) => isKilnError(error) && error.code === 'git-credentials',
  );
});

test('a mirror broken by a killed process or a bad disk is repaired or made anew', async () => {
  using folder = testFolder();
  const { path, commits } = makeRepository(join(folder.path, 'origin'));
  await using server = await startGitHttpServer(path);
  const mirrorDir = join(folder.path, 'mirrors');
  const mirror = mirrorPath(mirrorDir, server.url);
  let count = 0;
  const clone = async (): Promise<void> => {
    const directory = join(folder.path, `clone-${count++}`);
    const result = await cloneRepository(parseGitUrl(server.url), directory, {
      policy: { allowLoopback: true },
      mirrorDir,
    });
    assert.equal(result.commit.sha, commits[2]);
    assert.equal(readFileSync(join(directory, 'README.md'), 'utf8'), 'three\n');
  };
  const packs = (): string[] =>
    readdirSync(join(mirror, 'objects', 'pack')).map((name) => join(mirror, 'objects', 'pack', name));
  const damages: (() => void)[] = [
    () => writeFileSync(join(mirror, 'shallow.lock'), ''),
    () => writeFileSync(join(mirror, 'config.lock'), ''),
    () => writeFileSync(join(mirror, 'HEAD'), ''),
    () => rmSync(join(mirror, 'objects'), { recursive: true }),
    () => writeFileSync(join(mirror, 'shallow'), 'nonsense\n'),
    () =>
      packs()
        .filter((name) => name.endsWith('.idx'))
        .forEach((name) => rmSync(name)),
    () =>
      packs()
        .filter((name) => name.endsWith('.pack'))
        .forEach((name) => {
          chmodSync(name, 0o644);
          truncateSync(name, 40);
        }),
    () =>
      packs()
        .filter((name) => name.endsWith('.pack'))
        .forEach((name) => {
          chmodSync(name, 0o644);
          writeFileSync(name, readFileSync(name).fill(0, 12, 200));
        }),
    () => {
      rmSync(mirror, { recursive: true });
      mkdirSync(mirror);
    },
  ];
  await clone();
  for (const damage of damages) {
    damage();
    await clone();
  }
});

test('a process killed in the middle of a fetch leaves a mirror that the next one can use', async () => {
  using folder = testFolder();
  const { path, commits } = makeRepository(join(folder.path, 'origin'));
  let victim: ChildProcess | undefined;
  let posts = 0;
  await using server = await startGitHttpServer(path, {
    onRequest: (request) => {
      // The second POST is the fetch; the first lists the refs.
      if (request.method === 'POST' && victim !== undefined && ++posts === 2) victim.kill('SIGKILL');
    },
  });
  const mirrorDir = join(folder.path, 'mirrors');
  const modules = ['clone-repository', 'git-url'].map(
    (name) => new URL(`../src/git/${name}.ts`, import.meta.url).href,
  );
  const program = `
    const { cloneRepository } = await import(${JSON.stringify(modules[0])});
    const { parseGitUrl } = await import(${JSON.stringify(modules[1])});
    await cloneRepository(parseGitUrl(${JSON.stringify(server.url)}), ${JSON.stringify(join(folder.path, 'killed'))},
      { policy: { allowLoopback: true }, mirrorDir: ${JSON.stringify(mirrorDir)} });`;
  victim = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: 'ignore' });
  const signal = await new Promise((resolve) => victim?.on('close', (_code, name) => resolve(name)));
  assert.equal(signal, 'SIGKILL');
  victim = undefined;
  const options = { policy: { allowLoopback: true }, mirrorDir };
  const result = await cloneRepository(parseGitUrl(server.url), join(folder.path, 'clone'), options);
  assert.equal(result.commit.sha, commits[2]);
});

test('clones of one address at the same time share one mirror', async () => {
  using folder = testFolder();
  const { path } = makeRepository(join(folder.path, 'origin'));
  await using server = await startGitHttpServer(path);
  const mirrorDir = join(folder.path, 'mirrors');
  const results = await Promise.all(
    ['a', 'b', 'c'].map(
      async (name) =>
        await cloneRepository(parseGitUrl(server.url), join(folder.path, name), {
          policy: { allowLoopback: true },
          mirrorDir,
        }),
    ),
  );
  assert.equal(new Set(results.map((result) => result.tree)).size, 1);
  assert.equal(readdirSync(mirrorDir).length, 1);
  assert.ok((await evictMirrors(mirrorDir, { maxBytes: 0, maxAgeMs: 1e9 })) > 0);
  assert.ok(!existsSync(mirrorPath(mirrorDir, server.url)));
});

test('a lock is held by one at a time, waited for, and given up on cancellation', async () => {
  const name = `test ${process.pid} ${Math.random()}`;
  let holders = 0;
  const hold = async (): Promise<void> => {
    await using _lock = await lockName(name);
    assert.equal(++holders, 1);
    await new Promise((resolve) => setImmediate(resolve));
    holders--;
  };
  await Promise.all([hold(), hold(), hold(), hold()]);
  await using _held = await lockName(name);
  const stop = new AbortController();
  const waiting = lockName(name, stop.signal);
  setImmediate(() => stop.abort());
  await assert.rejects(waiting, (error) => isKilnError(error) && error.code === 'cancelled');
});
