import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { GitIntegration } from '../src/git/git-integration.ts';
import { cloneRepository } from '../src/git/clone-repository.ts';
import { parseGitUrl } from '../src/git/git-url.ts';
import { LOCAL_USER_POLICY } from '../src/git/host-policy.ts';
import { commit, failure, git, makeRepository, testFolder } from './harness/git-fixture.ts';
import { startGitHttpServer } from './harness/git-http-server.ts';

const TOKEN = 'tok_5Qm1xPz8Rw3k';

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

test('nothing private is left in the temporary folder', () => {
  assert.deepEqual(
    readdirSync(tmpdir()).filter((name) => name.startsWith(`kiln-git-`) && name.includes(`-${process.pid}-`)),
    [],
  );
});
