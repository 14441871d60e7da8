import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { RepositoryName } from '../src/base/brand.ts';
import { Secret } from '../src/base/secret.ts';
import { runProcess } from '../src/process/run-process.ts';
import { literalImage } from './harness/literal-image.ts';
import { startTestRegistry, type TestRegistry } from './registry-server.ts';

const plain = ['--insecure-policy'];
const found = await runProcess('skopeo', ['--version']).then(
  () => true,
  () => false,
);
const skip = found ? false : 'skopeo is not installed';

async function skopeo(...args: string[]): Promise<string> {
  const result = await runProcess('skopeo', [...plain, ...args], { deadlineMs: 60_000 });
  assert.equal(result.exitCode, 0, result.stderr);
  return result.stdout;
}

async function publish(registry: TestRegistry, repository: string): Promise<string> {
  return await registry.catalog.publishImage({
    ...literalImage(randomBytes(200_000)),
    repository: repository as RepositoryName,
    tags: ['v1'],
  });
}

test(
  'skopeo pulls recipe layers, pushes them back elsewhere with the same digest, and deletes',
  { skip },
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'kiln-skopeo-'));
    await using registry = await startTestRegistry();
    try {
      const digest = await publish(registry, 'made/here');
      await skopeo(
        'copy',
        '--src-tls-verify=false',
        '--preserve-digests',
        `docker://${registry.host}/made/here:v1`,
        `oci:${folder}:x`,
      );
      const push = ['copy', '--dest-tls-verify=false', '--preserve-digests', `oci:${folder}:x`];
      await skopeo(...push, `docker://${registry.host}/pushed/back:v2`);
      const told = JSON.parse(
        await skopeo('inspect', '--tls-verify=false', `docker://${registry.host}/pushed/back:v2`),
      ) as {
        Digest: string;
        RepoTags: string[];
      };
      assert.equal(told.Digest, digest);
      assert.deepEqual(told.RepoTags, ['v2']);
      await skopeo('delete', '--tls-verify=false', `docker://${registry.host}/pushed/back:v2`);
      assert.equal(await registry.catalog.resolve('pushed/back' as RepositoryName, 'v2'), undefined);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
);

test('skopeo logs in with a password and gets no further without one', { skip }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kiln-skopeo-'));
  await using registry = await startTestRegistry({
    access: {
      kind: 'token',
      anonymousPull: false,
      tokenKey: new Secret('0123456789abcdef0123456789abcdef'),
      authenticate: ({ username, password }) =>
        Promise.resolve(
          username === 'ann' && password.reveal() === 'pw' ? { name: 'ann', allows: () => true } : undefined,
        ),
    },
  });
  try {
    await publish(registry, 'locked');
    const reference = `docker://${registry.host}/locked:v1`;
    await skopeo('copy', '--src-tls-verify=false', '--src-creds', 'ann:pw', reference, `oci:${folder}:x`);
    await skopeo(
      'copy',
      '--dest-tls-verify=false',
      '--dest-creds',
      'ann:pw',
      `oci:${folder}:x`,
      `docker://${registry.host}/locked:v2`,
    );
    for (const credentials of [['--creds', 'ann:wrong'], ['--no-creds']]) {
      const result = await runProcess('skopeo', [
        ...plain,
        'inspect',
        '--tls-verify=false',
        ...credentials,
        reference,
      ]);
      assert.notEqual(result.exitCode, 0);
      assert.match(result.stderr, /unauthorized|authentication required|invalid username/i);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
