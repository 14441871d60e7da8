import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { cloneRepository } from '../src/git/clone-repository.ts';
import { GitIntegration } from '../src/git/git-integration.ts';
import { parseGitUrl } from '../src/git/git-url.ts';
import { makeRepository, testFolder } from './harness/git-fixture.ts';
import { makeSshKey, sshdMissing, startSshServer } from './harness/ssh-server.ts';
import { expectedFailure } from './harness/expected-failure.ts';

const skip = sshdMissing();

test('a repository is cloned over SSH with a key, and the host key is remembered', { skip }, async () => {
  using folder = testFolder();
  const { path, commits } = makeRepository(join(folder.path, 'origin'));
  await using server = await startSshServer(folder.path);
  const knownHostsFile = join(folder.path, 'kiln', 'known_hosts');
  const options = { allowLoopback: true, sshKey: server.clientKey, knownHostsFile };
  const result = await GitIntegration.cloneRepository(
    server.urlOf(path),
    join(folder.path, 'clone'),
    options,
  );
  assert.equal(result.commitSha, commits[2]);
  assert.match(readFileSync(knownHostsFile, 'utf8'), /\[127\.0\.0\.1\]:\d+ ssh-ed25519/);
  // Windows line ends and a missing last line feed are how keys arrive from web forms.
  const pasted = server.clientKey.replaceAll('\n', '\r\n').trim();
  const again = await GitIntegration.validateBranch(server.urlOf(path), 'v1', { ...options, sshKey: pasted });
  assert.equal(again.commitSha, commits[1]);
  assert.deepEqual(
    readdirSync(tmpdir()).filter((name) => name.startsWith('kiln-git-') && name.includes(`-${process.pid}-`)),
    [],
  );
});

test('a changed or unknown host key stops before anything is sent', { skip }, async () => {
  using folder = testFolder();
  const { path, commits } = makeRepository(join(folder.path, 'origin'));
  await using server = await startSshServer(folder.path);
  const url = server.urlOf(path);
  const other = makeSshKey(join(folder.path, 'other')).publicKey;
  const clone = async (name: string, knownHosts: string): Promise<{ commitSha: string }> =>
    await GitIntegration.cloneRepository(url, join(folder.path, name), {
      allowLoopback: true,
      sshKey: server.clientKey,
      knownHosts,
    });
  const changed = await expectedFailure(clone('changed', `[127.0.0.1]:${server.port} ${other}`));
  assert.equal(changed.code, 'git-host-key');
  assert.match(changed.message, /not the one seen before/);
  const unknown = await expectedFailure(clone('unknown', `github.com ${other}`));
  assert.equal(unknown.code, 'git-host-key');
  assert.match(unknown.message, /not among the known/);
  assert.equal((await clone('right', `[127.0.0.1]:${server.port} ${server.hostKey}`)).commitSha, commits[2]);
});

test(
  'the SSH connection goes to the checked address, the host key is looked up under the name',
  { skip },
  async () => {
    using folder = testFolder();
    const { path, commits } = makeRepository(join(folder.path, 'origin'));
    await using server = await startSshServer(folder.path);
    const knownHostsFile = join(folder.path, 'known_hosts');
    const { Secret } = await import('../src/base/secret.ts');
    const result = await cloneRepository(
      parseGitUrl(server.urlOf(path).replace('127.0.0.1', 'pinned.invalid')),
      join(folder.path, 'clone'),
      {
        policy: { allowLoopback: true, resolve: async () => ['127.0.0.1'] },
        credentials: { sshKey: new Secret(server.clientKey) },
        knownHostsFile,
      },
    );
    assert.equal(result.commit.sha, commits[2]);
    assert.match(readFileSync(knownHostsFile, 'utf8'), /^\[pinned\.invalid\]:\d+ /m);
  },
);

test('SSH failures name the key, the repository or the network', { skip }, async () => {
  using folder = testFolder();
  const { path } = makeRepository(join(folder.path, 'origin'));
  await using server = await startSshServer(folder.path);
  const stranger = makeSshKey(join(folder.path, 'stranger'));
  const options = { allowLoopback: true, knownHostsFile: join(folder.path, 'known_hosts') };
  const clone = async (url: string, extra = {}): Promise<unknown> =>
    await GitIntegration.cloneRepository(url, join(folder.path, 'clone'), { ...options, ...extra });
  const refused = await expectedFailure(clone(server.urlOf(path), { sshKey: stranger.privateKey }));
  assert.equal(refused.code, 'git-credentials');
  assert.match(refused.message, /does not accept the SSH key/);
  const keyLine = stranger.privateKey.split('\n')[1] ?? '';
  assert.ok(!`${refused.message}${refused.where}${refused.hint}`.includes(keyLine));
  assert.match((await expectedFailure(clone(server.urlOf(path)))).message, /wants an SSH key/);
  assert.match(
    (await expectedFailure(clone(server.urlOf(path), { accessToken: 'tok_5Qm1xPz8Rw3k' }))).message,
    /token was given for an SSH address/,
  );
  assert.match(
    (await expectedFailure(clone(server.urlOf(path), { sshKey: stranger.publicKey }))).message,
    /public half/,
  );
  assert.match(
    (await expectedFailure(clone(server.urlOf(path), { sshKey: 'hello' }))).message,
    /not a private key/,
  );
  const locked = makeSshKey(join(folder.path, 'locked'), 'correct horse');
  assert.match(
    (await expectedFailure(clone(server.urlOf(path), { sshKey: locked.privateKey }))).message,
    /passphrase/,
  );
  assert.equal(
    (await expectedFailure(clone(server.urlOf(`${path}-no`), { sshKey: server.clientKey }))).code,
    'git-not-found',
  );
  assert.equal(
    (await expectedFailure(clone('ssh://git@127.0.0.1:1/x', { sshKey: server.clientKey }))).code,
    'git-network',
  );
  assert.ok(!existsSync(join(folder.path, 'clone')));
});

test('what a killed process left of its keys is removed by the next one', { skip }, async () => {
  const { makePrivateFolder } = await import('../src/git/private-folder.ts');
  await using own = await makePrivateFolder();
  const [, namespace = '0'] = /kiln-git-(\d+)-/.exec(own.path) ?? [];
  // No process has this number: the kernel's limit is 2^22.
  const left = mkdtempSync(join(tmpdir(), `kiln-git-${namespace}-4194305-`));
  const { execFileSync } = await import('node:child_process');
  const program = `import { makePrivateFolder } from ${JSON.stringify(new URL('../src/git/private-folder.ts', import.meta.url).href)}; await using f = await makePrivateFolder();`;
  execFileSync(process.execPath, ['--input-type=module-typescript', '-e', program]);
  assert.ok(!existsSync(left));
  assert.ok(existsSync(own.path));
});
