import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import type { RepositoryName } from '../src/base/brand.ts';
import { createLayerReader } from '../src/image/layer-reader.ts';
import { KilnError } from '../src/base/error.ts';
import { parseByteRange } from '../src/http/byte-range.ts';
import { digestOf } from '../src/oci/digest.ts';
import { OCI_MANIFEST } from '../src/oci/media-types.ts';
import { literalImage } from './harness/literal-image.ts';
import { startTestRegistry } from './registry-server.ts';

const app = 'team/app' as RepositoryName;

async function ociCode(response: Response): Promise<string> {
  const body = (await response.json()) as { errors: { code: string }[] };
  return body.errors[0]?.code ?? '';
}

describe('registry endpoints', async () => {
  const registry = await startTestRegistry({
    uploadLimits: { perRepository: 20, total: 30, ttlMs: 3_600_000 },
    speedLimit: { windowMs: 300, minBytes: 1024 },
  });
  after(() => registry[Symbol.asyncDispose]());
  const v2 = (path: string): string => `${registry.url}/v2/${path}`;

  test('names and digests that are none get an OCI error, whatever tricks they try', async () => {
    const digest = `sha256:${'a'.repeat(64)}`;
    const cases: [string, string, number, string][] = [
      ['GET', `../../etc/passwd`, 404, 'NAME_UNKNOWN'],
      ['GET', `..%2f..%2fetc/blobs/${digest}`, 400, 'NAME_INVALID'],
      ['GET', `a/../b/blobs/${digest}`, 400, 'NAME_INVALID'],
      ['GET', `a%00b/blobs/${digest}`, 400, 'NAME_INVALID'],
      ['GET', `UPPER/manifests/x`, 400, 'NAME_INVALID'],
      ['GET', `${'a'.repeat(300)}/manifests/x`, 400, 'NAME_INVALID'],
      ['GET', `//manifests/x`, 400, 'NAME_INVALID'],
      ['GET', `a/manifests/.hidden`, 404, 'MANIFEST_UNKNOWN'],
      ['PUT', `a/manifests/.hidden`, 400, 'MANIFEST_INVALID'],
      ['GET', `a/manifests/sha256:abc`, 400, 'DIGEST_INVALID'],
      ['GET', `a/blobs/sha256:..%2f..%2fpasswd`, 400, 'DIGEST_INVALID'],
      ['GET', `a/blobs/md5:${'a'.repeat(32)}`, 400, 'DIGEST_INVALID'],
      ['PATCH', `a/blobs/uploads/..%2f..%2fx`, 404, 'BLOB_UPLOAD_UNKNOWN'],
      ['PATCH', `a/blobs/uploads/00000000-0000-0000-0000-000000000000`, 404, 'BLOB_UPLOAD_UNKNOWN'],
      ['GET', `a/referrers/latest`, 400, 'DIGEST_INVALID'],
      ['GET', `a/tags/list`, 404, 'NAME_UNKNOWN'],
      ['POST', `a/tags/list`, 405, 'UNSUPPORTED'],
      ['GET', `a/blobs/%zz`, 400, ''],
    ];
    for (const [method, path, status, code] of cases) {
      const socket = connect(Number(registry.host.split(':')[1]), '127.0.0.1');
      // Sent by hand: URL classes would tidy the path up.
      socket.write(
        `${method} /v2/${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`,
      );
      let answer = '';
      for await (const chunk of socket) answer += String(chunk);
      assert.match(answer, new RegExp(`^HTTP/1.1 ${status} `), `${method} ${path}: ${answer.slice(0, 300)}`);
      assert.ok(answer.includes(code), `${method} ${path}: ${answer.slice(-300)}`);
    }
  });

  test('ranges of a recipe layer are slices of its bytes', async () => {
    const image = literalImage(randomBytes(10_000));
    const { content, digest } = image;
    const size = content.length;
    await registry.catalog.publishImage({ repository: app, tags: ['v1'], ...image });
    const url = v2(`${app}/blobs/${digest}`);
    const head = await fetch(url, { method: 'HEAD' });
    assert.equal(head.headers.get('content-length'), String(size));
    const ranges: [string, number, number][] = [
      ['bytes=0-0', 0, 1],
      ['bytes=500-1499', 500, 1500],
      ['bytes=9000-', 9000, size],
      ['bytes=-1', size - 1, size],
      ['bytes=-20000', 0, size],
      ['bytes=9999-50000', 9999, size],
      ['bytes=510-1030', 510, 1031],
    ];
    for (const [range, start, end] of ranges) {
      const response = await fetch(url, { headers: { range } });
      assert.equal(response.status, 206, range);
      assert.equal(response.headers.get('content-range'), `bytes ${start}-${end - 1}/${size}`);
      assert.ok(Buffer.from(await response.arrayBuffer()).equals(content.subarray(start, end)), range);
    }
    for (const range of [`bytes=${size}-`, 'bytes=5-2', 'bytes=-0']) {
      const response = await fetch(url, { headers: { range } });
      assert.equal(response.status, 416, range);
      assert.equal(response.headers.get('content-range'), `bytes */${size}`);
      await response.arrayBuffer();
    }
  });

  test('open uploads are limited, and cancelling one makes room', async () => {
    const locations: string[] = [];
    for (let count = 0; count < 20; count++) {
      const response = await fetch(v2('many/blobs/uploads/'), { method: 'POST' });
      assert.equal(response.status, 202);
      locations.push(response.headers.get('location') ?? '');
    }
    const refused = await fetch(v2('many/blobs/uploads/'), { method: 'POST' });
    assert.equal(refused.status, 429);
    assert.ok(refused.headers.get('retry-after'));
    assert.equal(await ociCode(refused), 'TOOMANYREQUESTS');
    for (const location of locations) {
      assert.equal((await fetch(registry.url + location, { method: 'DELETE' })).status, 204);
    }
    const again = await fetch(v2('many/blobs/uploads/'), { method: 'POST' });
    assert.equal(again.status, 202);
    await fetch(registry.url + again.headers.get('location'), { method: 'DELETE' });
    assert.deepEqual(await readdir(join(registry.directory, 'blobs', 'uploads')), []);
  });

  test('a sender that drips is cut off, and what it sent can be continued', async () => {
    const bytes = randomBytes(50_000);
    const begun = await fetch(v2('slow/blobs/uploads/'), { method: 'POST' });
    const location = begun.headers.get('location') ?? '';
    const socket = connect(Number(registry.host.split(':')[1]), '127.0.0.1');
    socket.on('error', () => undefined);
    socket.resume();
    socket.write(`PATCH ${location} HTTP/1.1\r\nHost: x\r\nContent-Length: ${bytes.length}\r\n\r\n`);
    socket.write(bytes.subarray(0, 40_000));
    await once(socket, 'close');
    const status = await fetch(registry.url + location);
    assert.equal(status.headers.get('range'), '0-39999');
    const rest = await fetch(registry.url + location, {
      method: 'PATCH',
      body: bytes.subarray(40_000),
      headers: { 'content-range': '40000-49999' },
    });
    assert.equal(rest.status, 202);
    const done = await fetch(`${registry.url}${location}?digest=${digestOf(bytes)}`, { method: 'PUT' });
    assert.equal(done.status, 201);
  });

  test('manifests that are cut short, too large or lie about themselves are refused', async () => {
    const put = (body: Buffer, reference = 'x', type: string = OCI_MANIFEST) =>
      fetch(v2(`bad/manifests/${reference}`), { method: 'PUT', body, headers: { 'content-type': type } });
    const { manifest } = literalImage(Buffer.from('nowhere'));
    assert.equal(await ociCode(await put(manifest.subarray(0, 50))), 'MANIFEST_INVALID');
    assert.equal(await ociCode(await put(manifest)), 'MANIFEST_BLOB_UNKNOWN');
    assert.equal(await ociCode(await put(manifest, `sha256:${'0'.repeat(64)}`)), 'DIGEST_INVALID');
    const large = await put(Buffer.alloc(4 * 2 ** 20 + 1, ' '));
    assert.equal(large.status, 413);
    assert.equal((await fetch(v2('bad/tags/list'))).status, 404);
  });

  test('a layer that cannot be made is an error before the first byte and a broken connection after it', async () => {
    let failAt = 0;
    await using reader = createLayerReader({ threads: 1 });
    await using failing = await startTestRegistry({
      reader: {
        size: (recipe) => reader.size(recipe),
        async *read(recipe, options) {
          let sent = 0;
          for await (const chunk of reader.read(recipe, options)) {
            if (sent >= failAt) throw new KilnError('store-path-missing', '/nix/store/x is not in the store');
            yield chunk;
            sent += chunk.length;
          }
        },
      },
    });
    const image = literalImage(randomBytes(1_000_000));
    await failing.catalog.publishImage({ repository: app, tags: ['v1'], ...image });
    const url = `${failing.url}/v2/${app}/blobs/${image.digest}`;
    const early = await fetch(url);
    assert.equal(early.status, 404);
    assert.equal(await ociCode(early), 'BLOB_UNKNOWN');
    failAt = 50_000;
    await assert.rejects(async () => (await fetch(url)).arrayBuffer());
  });
});

test('a server killed while it receives shows nothing half, and the push goes on after its restart', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'kiln-kill-'));
  const start = async () => {
    const program = fileURLToPath(new URL('registry-server.ts', import.meta.url));
    const child = spawn(process.execPath, [program, directory], { stdio: ['pipe', 'pipe', 'inherit'] });
    const [url] = (await once(createInterface(child.stdout), 'line')) as [string];
    return { child, url };
  };
  const bytes = randomBytes(3_000_000);
  const digest = digestOf(bytes);
  try {
    const first = await start();
    const begun = await fetch(`${first.url}/v2/k/blobs/uploads/`, { method: 'POST' });
    const location = begun.headers.get('location') ?? '';
    assert.equal(
      (await fetch(first.url + location, { method: 'PATCH', body: bytes.subarray(0, 1_000_000) })).status,
      202,
    );
    const socket = connect(Number(new URL(first.url).port), '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(`PATCH ${location} HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n`);
    await new Promise((resolve) => socket.write(bytes.subarray(1_000_000, 2_000_000), resolve));
    first.child.kill('SIGKILL');
    await once(first.child, 'exit');
    socket.destroy();

    const second = await start();
    try {
      assert.equal((await fetch(`${second.url}/v2/k/blobs/${digest}`)).status, 404);
      const status = await fetch(second.url + location);
      assert.equal(status.status, 204);
      const offset = Number(status.headers.get('range')?.split('-')[1]) + 1;
      assert.ok(offset >= 1_000_000 && offset <= 2_000_000);
      const rest = await fetch(second.url + location, {
        method: 'PATCH',
        body: bytes.subarray(offset),
        headers: { 'content-range': `${offset}-${bytes.length - 1}` },
      });
      assert.equal(rest.status, 202);
      assert.equal((await fetch(`${second.url}${location}?digest=${digest}`, { method: 'PUT' })).status, 201);
      const back = await fetch(`${second.url}/v2/k/blobs/${digest}`);
      assert.ok(Buffer.from(await back.arrayBuffer()).equals(bytes));
    } finally {
      second.child.stdin.end();
      await once(second.child, 'exit');
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});

test('a range is within the size or refused, for any numbers', () => {
  fc.assert(
    fc.property(fc.nat(1000), fc.option(fc.nat(2000)), fc.option(fc.nat(2000)), (size, first, last) => {
      let span: { start: number; end: number } | undefined;
      try {
        span = parseByteRange(`bytes=${first ?? ''}-${last ?? ''}`, size);
      } catch (error) {
        assert.ok(error instanceof KilnError && error.code === 'range-not-satisfiable');
        return;
      }
      if (span === undefined) assert.ok(first === null && last === null);
      else assert.ok(span.start >= 0 && span.start < span.end && span.end <= size);
    }),
  );
});
