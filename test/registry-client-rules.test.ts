import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { test } from 'node:test';
import { digestOf } from '../src/oci/digest.ts';
import { parseChallenge } from '../src/registry/client-authorization.ts';
import { retryAfterMs } from '../src/registry/client-retry.ts';
import { dockerCredentials } from '../src/registry/docker-credentials.ts';
import { encodeLayer } from '../src/registry/encode-layer.ts';
import { isPrivateAddress } from '../src/registry/private-address.ts';

test('compressed layers do not depend on the sizes of the chunks that come in', async () => {
  const data = Buffer.concat([Buffer.alloc(1_500_000, 'abc'), randomBytes(1_700_000)]);
  for (const codec of ['gzip', 'zstd'] as const) {
    const digests = new Set<string>();
    for (const chunk of [1000, 65_536, data.length]) {
      async function* pieces(): AsyncGenerator<Buffer> {
        for (let at = 0; at < data.length; at += chunk) yield data.subarray(at, at + chunk);
      }
      const parts: Buffer[] = [];
      for await (const part of encodeLayer(pieces(), codec)) parts.push(part);
      digests.add(digestOf(Buffer.concat(parts)));
    }
    assert.equal(digests.size, 1, codec);
  }
});

test('challenges and pauses are read as the RFCs write them', () => {
  assert.deepEqual(
    parseChallenge('Bearer realm="https://a/token",service="s, t",scope="repository:x:pull,push"'),
    {
      scheme: 'bearer',
      parameters: { realm: 'https://a/token', service: 's, t', scope: 'repository:x:pull,push' },
    },
  );
  assert.equal(parseChallenge('Digest realm="x"'), undefined);
  assert.equal(retryAfterMs('3', 0), 3000);
  assert.equal(retryAfterMs('Thu, 01 Jan 1970 00:00:05 GMT', 1000), 4000);
  assert.equal(retryAfterMs('soon', 0), 0);
});

test('addresses of private networks are known in all their forms', () => {
  for (const address of [
    '127.0.0.1',
    '10.1.2.3',
    '169.254.169.254',
    '::1',
    'fd00::1',
    '::ffff:10.0.0.1',
    '0.0.0.0',
  ]) {
    assert.equal(isPrivateAddress(address), true, address);
  }
  for (const address of ['1.1.1.1', '2606:4700::1111', '172.32.0.1'])
    assert.equal(isPrivateAddress(address), false, address);
});

test('credentials come from the environment, helpers, and Docker configuration, for their host only', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kiln-docker-'));
  try {
    const helper =
      '#!/bin/sh\nread host\n[ "$host" = helped.test ] && echo \'{"Username":"h","Secret":"s3"}\' || { echo "credentials not found"; exit 1; }\n';
    await writeFile(join(folder, 'docker-credential-fake'), helper, { mode: 0o755 });
    await writeFile(
      join(folder, 'config.json'),
      JSON.stringify({
        auths: {
          'https://plain.test/v1/': { auth: Buffer.from('ann:a:b').toString('base64') },
          'id.test': { identitytoken: 't' },
        },
        credHelpers: { 'helped.test': 'fake' },
        credsStore: 'fake',
      }),
    );
    const find = dockerCredentials({
      PATH: `${folder}${delimiter}${process.env['PATH'] ?? ''}`,
      DOCKER_CONFIG: folder,
      DOCKER_REGISTRY_URL: 'https://own.test',
      DOCKER_REGISTRY_USERNAME: 'admin',
      DOCKER_REGISTRY_PASSWORD: 'secret',
    });
    const told = async (host: string): Promise<string> => {
      const found = await find(host);
      if (found === undefined) return 'none';
      return found.kind === 'identity'
        ? `token ${found.token.reveal()}`
        : `${found.username} ${found.password.reveal()}`;
    };
    assert.equal(await told('own.test'), 'admin secret');
    assert.equal(await told('plain.test'), 'ann a:b');
    assert.equal(await told('id.test'), 'token t');
    assert.equal(await told('helped.test'), 'h s3');
    assert.equal(await told('other.test'), 'none');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
