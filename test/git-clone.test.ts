import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { isKilnError } from '../src/base/error.ts';
import { GitIntegration } from '../src/git/git-integration.ts';
import { cloneRepository } from '../src/git/clone-repository.ts';
import { parseGitUrl } from '../src/git/git-url.ts';
import { LOCAL_USER_POLICY } from '../src/git/host-policy.ts';
import { listRefs, resolveRef } from '../src/git/remote-refs.ts';
import { treeHash } from '../src/git/tree-hash.ts';
import { commit, failure, git, makeRepository, testFolder } from './harness/git-fixture.ts';
import { startGitHttpServer } from './harness/git-http-server.ts';

test('a repository is cloned over HTTP by branch, tag, commit and beginning of a commit', async () => {
  using folder = testFolder();
  const { path, commits } = makeRepository(join(folder.path, 'origin'));
  await using server = await startGitHttpServer(path);
  const options = { allowLoopback: true };
  const head = await GitIntegration.cloneRepository(server.url, join(folder.path, 'head'), {
    ...options,
    shallow: true,
    depth: 1,
  });
  assert.equal(head.commitSha, commits[2]);
  assert.equal(head.branch, 'main');
  assert.deepEqual(head.commit, {
    sha: commits[2],
    author: 'Ada Lovelace',
    authorEmail: 'ada@example.org',
    date: '2024-05-06T07:08:09+00:00',
    message: 'Third\n\nWith a body: ü',
  });
  assert.equal(readFileSync(join(head.directory, 'README.md'), 'utf8'), 'three\n');
  assert.equal(git(head.directory, 'rev-list', '--count', 'HEAD'), '1');
  assert.equal(git(head.directory, 'status', '--porcelain'), '');
  assert.equal(git(head.directory, 'for-each-ref', 'refs/kiln'), '');
  assert.equal(head.tree, git(path, 'rev-parse', 'HEAD^{tree}'));
  assert.deepEqual(await GitIntegration.getCommitInfo(head.directory, head.commitSha), head.commit);

  const branch = await GitIntegration.cloneRepository(server.url, join(folder.path, 'branch'), {
    ...options,
    branch: 'feature/login',
  });
  assert.equal(branch.branch, 'feature/login');
  assert.ok(existsSync(join(branch.directory, 'login.txt')));
  const tag = await GitIntegration.cloneRepository(server.url, join(folder.path, 'tag'), {
    ...options,
    branch: 'v1',
  });
  assert.equal(tag.commitSha, commits[1]);
  assert.equal(tag.tag, 'v1');
  const sha = await GitIntegration.cloneRepository(server.url, join(folder.path, 'sha'), {
    ...options,
    commit: commits[0],
  });
  assert.equal(sha.commitSha, commits[0]);
  assert.equal(git(sha.directory, 'for-each-ref'), '');
  const short = await GitIntegration.cloneRepository(server.url, join(folder.path, 'short'), {
    ...options,
    commit: commits[1]?.slice(0, 9),
  });
  assert.equal(short.commitSha, commits[1]);
  const whole = await GitIntegration.cloneRepository(server.url, join(folder.path, 'whole'), {
    ...options,
    shallow: false,
  });
  assert.equal(git(whole.directory, 'rev-list', '--count', 'HEAD'), '3');
});

test('refs are listed and resolved without cloning', async () => {
  using folder = testFolder();
  const { path, commits } = makeRepository(join(folder.path, 'origin'));
  await using server = await startGitHttpServer(path);
  const url = parseGitUrl(server.url);
  const access = { policy: { allowLoopback: true } };
  const refs = await listRefs(url, access);
  assert.equal(refs.defaultBranch, 'main');
  assert.deepEqual([...refs.branches.keys()].sort(), ['feature/login', 'main']);
  assert.equal(refs.tags.get('v1'), commits[1], 'an annotated tag is followed to its commit');
  assert.deepEqual(await resolveRef(url, undefined, access), {
    kind: 'branch',
    name: 'main',
    sha: commits[2],
  });
  assert.deepEqual(await resolveRef(url, 'v1', access), { kind: 'tag', name: 'v1', sha: commits[1] });
  assert.deepEqual(await resolveRef(url, 'refs/heads/main', access), {
    kind: 'branch',
    name: 'main',
    sha: commits[2],
  });
  const validation = await GitIntegration.validateBranch(server.url, 'main', { allowLoopback: true });
  assert.deepEqual(validation, { valid: true, url: server.url, branch: 'main', commitSha: commits[2] });
});

test('failures say which part was wrong and what to do', async () => {
  using folder = testFolder();
  const { path } = makeRepository(join(folder.path, 'origin'));
  await using server = await startGitHttpServer(path);
  const clone = async (url: string, options = {}): Promise<unknown> =>
    await GitIntegration.cloneRepository(url, join(folder.path, 'clone'), {
      allowLoopback: true,
      ...options,
    });
  assert.match(
    await failure(clone(server.url, { branch: 'mian' }), 'git-branch'),
    /no branch or tag "mian".*Did you mean "main"/,
  );
  assert.match(await failure(clone(server.url, { branch: 'login' }), 'git-branch'), /"feature\/login"/);
  assert.match(await failure(clone(server.url, { branch: '-x' }), 'git-branch'), /dash/);
  assert.match(
    await failure(clone(server.url, { commit: '0123456789'.repeat(4) }), 'git-branch'),
    /no commit/,
  );
  await failure(clone(server.url.replace('origin', 'nothing')), 'git-not-found');
  assert.match(await failure(clone('http://127.0.0.1:1/x.git'), 'git-network'), /port 1/);
  assert.match(
    await failure(clone('https://no-such-host.invalid/x.git'), 'git-network'),
    /no-such-host\.invalid/,
  );
  await failure(clone(server.url, { allowLoopback: false }), 'git-host-refused');
  assert.match(await failure(clone(server.url.replace('http:', 'https:')), 'git-network'), /TLS/);
  await failure(clone(server.url, { subdirectory: 'nowhere' }), 'not-found');
  assert.ok(!existsSync(join(folder.path, 'clone')), 'a failed clone leaves nothing');
  const empty = join(folder.path, 'empty');
  mkdirSync(empty);
  git(empty, 'init', '-q', '-b', 'main');
  await using emptyServer = await startGitHttpServer(empty);
  assert.match(await failure(clone(emptyServer.url), 'git-branch'), /empty/);
  mkdirSync(join(folder.path, 'clone'));
  writeFileSync(join(folder.path, 'clone', 'precious'), 'x');
  await failure(clone(server.url), 'conflict');
  assert.ok(existsSync(join(folder.path, 'clone', 'precious')));
  await failure(GitIntegration.getCommitInfo(join(folder.path, 'clone')), 'git-not-found');
});

test('a host that accepts connections and says nothing is given up on', async () => {
  using folder = testFolder();
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const url = `http://127.0.0.1:${address.port}/x.git`;
  const clone = GitIntegration.cloneRepository(url, join(folder.path, 'clone'), {
    allowLoopback: true,
    timeout: 0.5,
  });
  assert.match(await failure(clone, 'git-network'), /did not finish within/);
  server.close();
});

test('a cancelled clone ends and leaves nothing', async () => {
  using folder = testFolder();
  const { path } = makeRepository(join(folder.path, 'origin'));
  const stop = new AbortController();
  await using server = await startGitHttpServer(path, {
    onRequest: (request) => request.method === 'POST' && stop.abort(),
  });
  const work = GitIntegration.cloneRepository(server.url, join(folder.path, 'clone'), {
    allowLoopback: true,
    signal: stop.signal,
  });
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(isKilnError(error) && error.code === 'cancelled', String(error));
  assert.ok(!existsSync(join(folder.path, 'clone')));
});

test('a subdirectory must stay inside the repository', async () => {
  using folder = testFolder();
  const { path } = makeRepository(join(folder.path, 'origin'));
  symlinkSync('/etc', join(path, 'outside'));
  symlinkSync('app', join(path, 'inside'));
  commit(path, {}, 'Links');
  const clone = async (subdirectory: string): Promise<string> => {
    rmSync(join(folder.path, 'clone'), { recursive: true, force: true });
    const options = { policy: LOCAL_USER_POLICY, subdirectory };
    return (
      await cloneRepository(parseGitUrl(path, { allowLocal: true }), join(folder.path, 'clone'), options)
    ).root;
  };
  assert.equal(await clone('inside'), join(folder.path, 'clone', 'app'));
  await failure(clone('outside'), 'invalid-input');
  await failure(clone('../..'), 'invalid-input');
  await assert.rejects(clone('/etc'), /inside the repository/);
  await assert.rejects(clone('.git'), /no such folder/);
});

test('the hash of a tree depends on names, modes, links and contents only', async () => {
  using folder = testFolder();
  const { path } = makeRepository(join(folder.path, 'a'));
  symlinkSync('README.md', join(path, 'link'));
  commit(path, {}, 'Link');
  const url = parseGitUrl(path, { allowLocal: true });
  const one = await cloneRepository(url, join(folder.path, 'one'), { policy: LOCAL_USER_POLICY });
  const two = await cloneRepository(url, join(folder.path, 'two'), {
    policy: LOCAL_USER_POLICY,
    contentOnly: true,
    depth: 0,
  });
  const hash = await treeHash(one.directory);
  assert.equal(await treeHash(two.directory), hash);
  writeFileSync(join(two.directory, 'README.md'), 'other\n');
  assert.notEqual(await treeHash(two.directory), hash);
  assert.ok(statSync(one.directory).isDirectory());
});
