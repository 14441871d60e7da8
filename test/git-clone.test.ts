import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isKilnError, type ErrorCode } from '../src/base/error.ts';
import { GitIntegration } from '../src/git/git-integration.ts';
import { cloneRepository } from '../src/git/clone-repository.ts';
import { parseGitUrl } from '../src/git/git-url.ts';
import { LOCAL_USER_POLICY } from '../src/git/host-policy.ts';
import { listRefs, resolveRef } from '../src/git/remote-refs.ts';
import { treeHash } from '../src/git/tree-hash.ts';
import { commit, git, makeRepository, testFolder } from './harness/git-fixture.ts';
import { startGitHttpServer } from './harness/git-http-server.ts';

const TOKEN = 'tok_5Qm1xPz8Rw3k';

async function failure(work: Promise<unknown>, code: ErrorCode): Promise<string> {
  const error = await work.then(
    () => assert.fail('it did not fail'),
    (reason: unknown) => reason,
  );
  assert.ok(isKilnError(error), String(error));
  assert.equal(error.code, code, `${error.message} ${error.where}`);
  assert.ok(error.hint, error.message);
  return `${error.message} | ${error.where ?? ''} | ${error.hint}`;
}

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

test('a token opens a private repository and shows in no process list, file, address or error', async () => {
  using folder = testFolder();
  const { path, commits } = makeRepository(join(folder.path, 'origin'));
  const encoded = Buffer.from(`oauth2:${TOKEN}`).toString('base64');
  const seen: string[] = [];
  let requests = 0;
  const readCommandLines = (): void => {
    requests++;
    for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
      try {
        const text = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
        if (text.includes(TOKEN) || text.includes(encoded)) seen.push(text);
      } catch {
        // It has ended.
      }
    }
  };
  await using server = await startGitHttpServer(path, {
    basic: `oauth2:${TOKEN}`,
    onRequest: readCommandLines,
  });
  const clone = async (
    name: string,
    accessToken?: string,
  ): Promise<{ commitSha: string; directory: string }> =>
    await GitIntegration.cloneRepository(server.url, join(folder.path, name), {
      allowLoopback: true,
      accessToken,
    });
  const result = await clone('good', TOKEN);
  assert.equal(result.commitSha, commits[2]);
  assert.ok(requests >= 2);
  assert.deepEqual(seen, []);
  for (const file of readdirSync(join(result.directory, '.git'), { recursive: true, withFileTypes: true })) {
    if (!file.isFile()) continue;
    const text = readFileSync(join(file.parentPath, file.name), 'latin1');
    assert.ok(!text.includes(TOKEN) && !text.includes(encoded), file.name);
  }
  assert.match(await failure(clone('none'), 'git-credentials'), /private or does not exist/);
  const refused = await failure(clone('bad', 'wrong_9XyZ8wVu7'), 'git-credentials');
  assert.match(refused, /does not accept the access token/);
  assert.doesNotMatch(refused, /wrong_9XyZ8wVu7/);
  const validation = await GitIntegration.validateGitUrl(server.url, {
    allowLoopback: true,
    accessToken: 'wrong_9XyZ8wVu7',
    branch: 'main',
  });
  assert.equal(validation.valid, false);
  assert.equal(validation.code, 'git-credentials');
});

test('redirects are followed on the same host, checked on others, and never get the token of another host', async () => {
  using folder = testFolder();
  const { path, commits } = makeRepository(join(folder.path, 'origin'));
  const authorizations: (string | undefined)[] = [];
  await using other = await startGitHttpServer(path, {
    name: 'other',
    onRequest: (request) => authorizations.push(request.headers.authorization),
  });
  await using server = await startGitHttpServer(path, {
    redirect: (address) => {
      if (address.startsWith('/old.git')) return address.replace('/old.git', '/origin.git');
      if (address.startsWith('/away.git')) return `${other.url}${address.slice('/away.git'.length)}`;
      if (address.startsWith('/metadata.git'))
        return `http://169.254.169.254/x.git${address.slice('/metadata.git'.length)}`;
      return address.startsWith('/loop.git') ? address : undefined;
    },
  });
  const clone = async (name: string, extra = {}): Promise<{ commitSha: string; url: string }> =>
    await GitIntegration.cloneRepository(server.url.replace('origin', name), join(folder.path, name), {
      allowLoopback: true,
      ...extra,
    });
  const moved = await clone('old');
  assert.equal(moved.commitSha, commits[2]);
  assert.equal(moved.url, server.url);
  assert.equal((await clone('away', { accessToken: TOKEN })).url, other.url);
  assert.deepEqual([...new Set(authorizations)], [undefined]);
  assert.match(await failure(clone('metadata'), 'git-host-refused'), /169\.254\.169\.254/);
  assert.match(await failure(clone('loop'), 'git-failed'), /redirect/);
});

test('the connection goes to the addresses that were checked, not to what the name means later', async () => {
  using folder = testFolder();
  const { path, commits } = makeRepository(join(folder.path, 'origin'));
  await using server = await startGitHttpServer(path);
  const url = parseGitUrl(server.url.replace('127.0.0.1', 'pinned.invalid'));
  const policy = {
    allowLoopback: true,
    allowedHosts: ['pinned.invalid'],
    resolve: async () => ['127.0.0.1'],
  };
  const result = await cloneRepository(url, join(folder.path, 'clone'), { policy });
  assert.equal(result.commit.sha, commits[2]);
});

test('submodules are fetched by relative address and refused when theirs is not allowed', async () => {
  using folder = testFolder();
  const { path: inner, commits } = makeRepository(join(folder.path, 'inner'));
  const { path: outer } = makeRepository(join(folder.path, 'outer'));
  const addModule = (name: string, address: string): void => {
    writeFileSync(
      join(outer, '.gitmodules'),
      `[submodule "${name}"]\n\tpath = ${name}\n\turl = ${address}\n`,
    );
    git(outer, 'update-index', '--add', '--cacheinfo', `160000,${commits[1]},${name}`);
    git(outer, 'add', '.gitmodules');
    git(outer, 'commit', '-q', '-m', `Module at ${address}`);
  };
  addModule('lib', '../inner');
  const options = { policy: LOCAL_USER_POLICY, submodules: true, contentOnly: true };
  const result = await cloneRepository(
    parseGitUrl(outer, { allowLocal: true }),
    join(folder.path, 'clone'),
    options,
  );
  assert.equal(readFileSync(join(result.directory, 'lib', 'README.md'), 'utf8'), 'two\n');
  assert.ok(
    !existsSync(join(result.directory, '.git')) && !existsSync(join(result.directory, 'lib', '.git')),
  );
  await using server = await startGitHttpServer(outer);
  for (const [address, code] of [
    ['ext::sh -c id', 'git-url'],
    [inner, 'git-url'],
    ['http://169.254.169.254/latest', 'git-host-refused'],
    ['--upload-pack=id', 'git-url'],
  ] as const) {
    addModule('lib', address);
    const clone = GitIntegration.cloneRepository(server.url, join(folder.path, 'refused'), {
      allowLoopback: true,
      submodules: true,
    });
    assert.match(await failure(clone, code), /^Submodule "lib"/);
  }
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

test('no hook, filter or helper of the repository or the user runs', async () => {
  using folder = testFolder();
  const { path } = makeRepository(join(folder.path, 'origin'));
  const proof = join(folder.path, 'ran');
  const hook = join(folder.path, 'home', 'template', 'hooks', 'post-checkout');
  mkdirSync(join(hook, '..'), { recursive: true });
  writeFileSync(hook, `#!/bin/sh\ntouch ${proof}\n`, { mode: 0o755 });
  writeFileSync(
    join(folder.path, 'home', '.gitconfig'),
    `[init]\n\ttemplateDir = ${join(folder.path, 'home', 'template')}\n[filter "x"]\n\tsmudge = touch ${proof}; cat\n[credential]\n\thelper = "!touch ${proof};"\n`,
  );
  commit(
    path,
    {
      '.gitattributes': '* filter=x\n*.bin filter=lfs\n',
      'model.bin': 'version https://git-lfs.github.com/spec/v1\n',
    },
    'Filter',
  );
  const home = process.env['HOME'];
  process.env['HOME'] = join(folder.path, 'home');
  try {
    await using server = await startGitHttpServer(path);
    const result = await GitIntegration.cloneRepository(server.url, join(folder.path, 'clone'), {
      allowLoopback: true,
    });
    assert.match(result.warnings.join(), /LFS.*model\.bin/);
    assert.ok(!existsSync(proof));
  } finally {
    process.env['HOME'] = home;
  }
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

test('nothing private is left in the temporary folder', () => {
  assert.deepEqual(
    readdirSync(tmpdir()).filter((name) => name.startsWith(`kiln-git-`) && name.includes(`-${process.pid}-`)),
    [],
  );
});
