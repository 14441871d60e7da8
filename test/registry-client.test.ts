import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import type { RepositoryName } from '../src/base/brand.ts';
import { isKilnError } from '../src/base/error.ts';
import { Secret } from '../src/base/secret.ts';
import { digestOf } from '../src/oci/digest.ts';
import { encodeIndex } from '../src/oci/image-index.ts';
import { encodeManifest, parseManifest } from '../src/oci/manifest.ts';
import { OCI_CONFIG, OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST } from '../src/oci/media-types.ts';
import { pullImage } from '../src/registry/client-pull.ts';
import { pushImage } from '../src/registry/client-push.ts';
import { addReferrer, listRemoteReferrers } from '../src/registry/client-referrers.ts';
import { catalogSource, layoutSource, remoteSource } from '../src/registry/image-source.ts';
import { databasePushMemory } from '../src/registry/push-memory.ts';
import { RegistryClient } from '../src/registry/registry-client.ts';
import { literalImage } from './harness/literal-image.ts';
import { startTestRegistry, type TestRegistry } from './registry-server.ts';

const name = (text: string): RepositoryName => text as RepositoryName;
const quick = { baseMs: 1, capMs: 5, totalMs: 5000 };
const noCredentials = () => Promise.resolve(undefined);

/** An image with one recipe layer of a file of `size` random bytes; returns the layer. */
async function publish(
  registry: TestRegistry,
  repository: string,
  tag: string,
  size: number,
): Promise<Buffer> {
  const image = literalImage(randomBytes(size));
  await registry.catalog.publishImage({ ...image, repository: name(repository), tags: [tag] });
  return image.content;
}

/** A proxy in front of a registry that may answer in its place. */
async function startProxy(
  target: TestRegistry,
  intercept: (request: http.IncomingMessage, response: http.ServerResponse) => boolean,
): Promise<{ host: string; close: () => Promise<void> }> {
  const server = http.createServer((request, response) => {
    if (intercept(request, response)) return;
    const forward = http.request(
      {
        host: '127.0.0.1',
        port: target.host.split(':')[1],
        method: request.method,
        path: request.url,
        headers: { ...request.headers },
      },
      (answer) => {
        const headers = { ...answer.headers };
        delete headers['kiln-registry'];
        response.writeHead(answer.statusCode ?? 500, headers);
        answer.pipe(response);
      },
    );
    forward.on('error', () => response.destroy());
    request.on('error', () => forward.destroy());
    request.pipe(forward);
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    host: `127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => void server.close(() => resolve()));
    },
  };
}

describe('registry client', async () => {
  const registry = await startTestRegistry();
  const other = await startTestRegistry();
  const client = new RegistryClient({ retry: quick, credentials: noCredentials });
  const folder = await mkdtemp(join(tmpdir(), 'kiln-client-'));
  after(async () => {
    await registry[Symbol.asyncDispose]();
    await other[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  test('an image pushed to Kiln keeps its digest, and a second push sends nothing', async () => {
    await publish(registry, 'app', 'v1', 100_000);
    const push = () =>
      pushImage({
        source: catalogSource(registry.catalog, name('app'), 'v1'),
        target: client.repository(other.host, name('copy/app')),
        tags: ['v1'],
      });
    const first = await push();
    assert.equal(first.digest, await registry.catalog.resolve(name('app'), 'v1'));
    assert.equal(first.uploaded, 2);
    assert.ok(first.bytesSent > 100_000);
    const second = await push();
    assert.deepEqual([second.uploaded, second.bytesSent, second.present], [0, 0, 2]);
  });

  test('another registry gets gzip, the same bytes each time, and the digest is remembered', async () => {
    const bytes = await publish(registry, 'gz', 'v1', 300_000);
    const proxy = await startProxy(other, () => false);
    const memory = databasePushMemory(registry.database);
    try {
      const options = { source: catalogSource(registry.catalog, name('gz'), 'v1'), tags: ['v1'], memory };
      const result = await pushImage({ ...options, target: client.repository(proxy.host, name('gz/one')) });
      assert.equal(result.encoding, 'gzip');
      const stored = await other.catalog.readManifest(name('gz/one'), 'v1');
      assert.ok(stored);
      const { content } = parseManifest(stored.content);
      assert.ok(content.kind === 'manifest');
      assert.equal(content.layers[0]?.mediaType, OCI_LAYER_GZIP);
      const mounted = await pushImage({ ...options, target: client.repository(proxy.host, name('gz/two')) });
      assert.deepEqual([mounted.digest, mounted.bytesSent, mounted.mounted], [result.digest, 0, 2]);
      const pulled = await pullImage(client.repository(proxy.host, name('gz/two')), {
        reference: 'v1',
        directory: join(folder, 'gz'),
      });
      assert.equal(pulled.digest, result.digest);
      assert.ok(pulled.bytesReceived > bytes.length / 2);
    } finally {
      await proxy.close();
    }
  });

  test('failures that pass are tried again, also for HEAD and manifests, and an upload goes on where it broke', async () => {
    await publish(registry, 'flaky', 'v1', 3_000_000);
    const failed = new Map<string, number>();
    const patchStarts: number[] = [];
    const proxy = await startProxy(other, (request, response) => {
      const large = Number(request.headers['content-length'] ?? 0) > 1_000_000;
      const key = `${request.method} ${request.url?.includes('/manifests/')} ${large}`;
      const count = failed.get(key) ?? 0;
      failed.set(key, count + 1);
      if (request.method === 'PATCH' && large) {
        patchStarts.push(Number(request.headers['content-range']?.split('-')[0] ?? 0));
        if (count === 0) {
          // A million bytes arrive, then the line breaks.
          let left = 1_000_000;
          const forward = http.request({
            host: '127.0.0.1',
            port: other.host.split(':')[1],
            method: 'PATCH',
            path: request.url,
          });
          forward.on('error', () => undefined);
          forward.on('response', (answer) => answer.resume());
          request.on('data', (chunk: Buffer) => {
            if (left <= 0) return;
            forward.write(chunk.subarray(0, left));
            left -= chunk.length;
            if (left <= 0) forward.end(() => setTimeout(() => request.socket.destroy(), 50));
          });
          return true;
        }
      }
      if (count > 0 || request.method === 'GET' || request.method === 'PATCH') return false;
      response.writeHead(request.method === 'HEAD' ? 502 : 429, { 'retry-after': '0' }).end();
      request.resume();
      return true;
    });
    try {
      const result = await pushImage({
        source: catalogSource(registry.catalog, name('flaky'), 'v1'),
        target: client.repository(proxy.host, name('flaky')),
        tags: ['v1'],
        encoding: 'keep',
        concurrency: 1,
      });
      assert.equal(await other.catalog.resolve(name('flaky'), 'v1'), result.digest);
      assert.deepEqual(patchStarts, [0, 1_000_000]);
    } finally {
      await proxy.close();
    }
  });

  test('an index goes with its members, and a layer they share is sent once', async () => {
    await publish(registry, 'multi', 'one', 50_000);
    const one = await registry.catalog.readManifest(name('multi'), 'one');
    assert.ok(one);
    const member = { mediaType: OCI_MANIFEST, digest: one.digest, size: one.content.length };
    const index = encodeIndex({
      manifests: [
        { ...member, platform: { os: 'linux', architecture: 'amd64' } },
        { ...member, platform: { os: 'linux', architecture: 'arm64' } },
      ],
    });
    await registry.catalog.putManifest({
      repository: name('multi'),
      content: index,
      mediaType: OCI_INDEX,
      tags: ['all'],
    });
    const result = await pushImage({
      source: remoteSource(client.repository(registry.host, name('multi')), 'all'),
      target: client.repository(other.host, name('multi')),
      tags: ['all'],
      encoding: 'zstd',
    });
    assert.equal(result.uploaded, 2);
    const directory = join(folder, 'multi');
    await pullImage(client.repository(other.host, name('multi')), {
      reference: 'all',
      directory,
      platform: { os: 'linux', architecture: 'arm64' },
    });
    const back = await layoutSource(directory).root();
    assert.equal(back.mediaType, OCI_MANIFEST);
  });

  test('a subject is noted under its tag where the registry has no referrers API', async () => {
    await publish(registry, 'signed', 'v1', 1000);
    const subject = await registry.catalog.resolve(name('signed'), 'v1');
    assert.ok(subject);
    const proxy = await startProxy(registry, (request, response) => {
      if (request.url?.includes('/referrers/') !== true) return false;
      response.writeHead(404).end();
      return true;
    });
    try {
      const target = client.repository(proxy.host, name('signed'));
      const image = await registry.catalog.imageDetails(name('signed'), 'v1');
      assert.ok(image?.config);
      const config = { mediaType: OCI_CONFIG, digest: image.config.digest, size: image.config.size };
      const types = ['a', 'b', 'c'].map((kind) => `application/vnd.test.${kind}`);
      await Promise.all(
        types.map(async (artifactType) => {
          const content = encodeManifest({
            mediaType: OCI_MANIFEST,
            artifactType,
            config,
            layers: [],
            subject: { mediaType: OCI_MANIFEST, digest: subject, size: image.manifest.length },
          });
          const manifest = { mediaType: OCI_MANIFEST, digest: digestOf(content), content };
          await target.putManifest(manifest.digest, manifest);
          await addReferrer(target, manifest);
        }),
      );
      const found = await listRemoteReferrers(target, subject);
      assert.deepEqual(found.map((descriptor) => descriptor.artifactType ?? '').toSorted(), types);
    } finally {
      await proxy.close();
    }
  });

  test('credentials are not sent along a redirect, and private addresses are not followed to', async () => {
    const secret = new Secret('open sesame');
    const seen: (string | undefined)[] = [];
    const proxy = await startProxy(registry, (request, response) => {
      if (request.headers.authorization === undefined) {
        response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
      } else {
        seen.push(request.headers.authorization);
        response.writeHead(307, { location: `http://${registry.host}${request.url}` }).end();
      }
      return true;
    });
    try {
      const guarded = new RegistryClient({
        retry: quick,
        credentials: () => Promise.resolve({ kind: 'password', username: 'u', password: secret }),
      });
      await assert.rejects(
        guarded.repository(proxy.host, name('app')).readManifest('v1'),
        (error: unknown) => {
          return isKilnError(error) && error.code === 'forbidden' && !error.message.includes('sesame');
        },
      );
      assert.equal(seen.length, 1);
    } finally {
      await proxy.close();
    }
  });

  test('a token is fetched for the scope that the registry asks for', async () => {
    const key = new Secret('k'.repeat(32));
    await using guarded = await startTestRegistry({
      access: {
        kind: 'token',
        anonymousPull: true,
        tokenKey: key,
        authenticate: ({ username, password }) =>
          Promise.resolve(
            username === 'ann' && password.reveal() === 'right'
              ? { name: 'ann', allows: (repository: string) => repository.startsWith('ann/') }
              : undefined,
          ),
      },
    });
    const ann = (password: string) =>
      new RegistryClient({
        retry: quick,
        credentials: () =>
          Promise.resolve({ kind: 'password', username: 'ann', password: new Secret(password) }),
      });
    const push = (as: RegistryClient, repository: string) =>
      pushImage({
        source: catalogSource(registry.catalog, name('app'), 'v1'),
        target: as.repository(guarded.host, name(repository)),
        tags: ['v1'],
      });
    await push(ann('right'), 'ann/app');
    await assert.rejects(push(ann('wrong'), 'ann/app'), { code: 'unauthorized' });
    await assert.rejects(push(ann('right'), 'bob/app'), { code: 'unauthorized' });
    await assert.rejects(push(client, 'ann/app'), { code: 'unauthorized' });
    const pulled = await client.repository(guarded.host, name('ann/app')).headManifest('v1');
    assert.equal(pulled, await registry.catalog.resolve(name('app'), 'v1'));
  });

  test('a pull goes on where it broke and never keeps wrong bytes', async () => {
    const bytes = await publish(registry, 'pull', 'v1', 2_000_000);
    const digest = digestOf(bytes);
    let broken = 0;
    const proxy = await startProxy(registry, (request, response) => {
      if (request.url?.includes(digest) !== true || broken > 0) return false;
      broken++;
      response.writeHead(200, { 'content-length': String(bytes.length) });
      response.write(bytes.subarray(0, 700_000), () => setTimeout(() => response.destroy(), 20));
      return true;
    });
    try {
      const directory = join(folder, 'pull');
      const result = await pullImage(client.repository(proxy.host, name('pull')), {
        reference: 'v1',
        directory,
      });
      assert.ok(result.bytesReceived < bytes.length + 1_000_000);
      const stored = await readFile(join(directory, 'blobs', 'sha256', digest.slice(7)));
      assert.ok(stored.equals(bytes));
    } finally {
      await proxy.close();
    }
  });
});
