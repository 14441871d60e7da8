/** Uploads: what a stock Nix sends, and what nobody may get in. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { zstdCompressSync } from 'node:zlib';
import type { StorePath } from '../src/base/brand.ts';
import { createToken } from '../src/registry/token-store.ts';
import { fingerprintOf } from '../src/store/fingerprint.ts';
import { parseHash } from '../src/store/hash.ts';
import { narHashFromBytes } from '../src/store/nar-hash.ts';
import { narDirectory, narFile, writeNar } from '../src/store/nar-writer.ts';
import { formatNarInfo, type NarInfo, parseNarInfo } from '../src/store/narinfo.ts';
import { encodeNix32 } from '../src/store/nix32.ts';
import { generateSigningKey, parseSigningKey, type SigningKey } from '../src/store/signature.ts';
import { hashPartOf, parseStorePath } from '../src/store/store-path.ts';
import { type CacheServer, nixClient, startCacheServer } from './harness/cache-server.ts';

const { secretKey, publicKey } = generateSigningKey('trusted-1');
const trusted = parseSigningKey(secretKey);
const stranger = parseSigningKey(generateSigningKey('trusted-1').secretKey);

interface Upload {
  readonly info: NarInfo;
  readonly file: Buffer;
}

let serial = 0;

/** A path that exists nowhere else, as a client would send it. */
async function makeUpload(
  change: Partial<NarInfo> = {},
  options: { readonly nar?: Buffer; readonly file?: Buffer; readonly key?: SigningKey } = {},
): Promise<Upload> {
  const path = parseStorePath(
    `/nix/store/${encodeNix32(hashOf(`made up ${++serial}`).subarray(0, 20))}-made-up`,
  );
  const tree = narDirectory({ bin: narDirectory({ run: narFile(Buffer.from(path), true) }) });
  const nar = options.nar ?? Buffer.concat(await Array.fromAsync(writeNar(tree)));
  const file = options.file ?? zstdCompressSync(nar);
  const stated = {
    path,
    url: `nar/${encodeNix32(hashOf(file))}.nar.zst`,
    compression: 'zstd',
    fileHash: { algorithm: 'sha256' as const, bytes: hashOf(file) },
    fileSize: file.length,
    narHash: narHashFromBytes(hashOf(nar)),
    narSize: nar.length,
    references: [],
    ...change,
  };
  const signature = (options.key ?? trusted).sign(fingerprintOf(stated));
  return { info: { signatures: [signature], ...stated }, file };
}

const hashOf = (data: string | Buffer): Buffer => createHash('sha256').update(data).digest();

describe('uploads', async () => {
  let server: CacheServer;
  before(async () => {
    server = await startCacheServer(
      `[cache]\ntrustedKeys = ["${publicKey}"]\n[limits]\nuploadSize = "4MiB"\n`,
    );
  });
  after(() => server[Symbol.asyncDispose]());

  const put = async (
    name: string,
    body: Buffer | string,
    headers: Record<string, string> = {},
  ): Promise<Response> => await fetch(`${server.url}/${name}`, { method: 'PUT', body, headers });
  const isVisible = async (path: StorePath): Promise<boolean> =>
    (await fetch(`${server.url}/${hashPartOf(path)}.narinfo`)).ok;
  const send = async ({ info, file }: Upload): Promise<Response> => {
    const stored = await put(info.url, file);
    if (!stored.ok) return stored;
    return await put(`${hashPartOf(info.path)}.narinfo`, formatNarInfo(info));
  };

  test('Nix uploads a closure in each compression, and others copy it from there', async () => {
    using source = nixClient();
    const keyFile = join(source.path, 'key');
    writeFileSync(keyFile, secretKey.reveal());
    for (const [index, compression] of ['none', 'xz', 'zstd', 'bzip2'].entries()) {
      const file = join(source.path, 'file');
      writeFileSync(file, `${process.pid} ${index} ${'text '.repeat(100_000)}`);
      const added = await source.nix(
        'store',
        'add',
        '--store',
        source.store,
        '--name',
        `upload-${compression}`,
        file,
      );
      const path = added.trim();
      const address = `${server.url}?compression=${compression}&secret-key=${keyFile}&write-nar-listing=true`;
      await source.nix('copy', '--from', source.store, '--to', address, path);
      using client = nixClient();
      const keys = await server.publicKeys();
      await client.nix(
        'copy',
        '--from',
        server.url,
        '--to',
        client.store,
        '--option',
        'trusted-public-keys',
        keys,
        path,
      );
      assert.match(await client.nix('path-info', '--store', client.store, path), /upload-/);
      assert.match(await client.nix('store', 'ls', '--json', '--store', server.url, path), /"size":/);
      const text = await (await fetch(`${server.url}/${hashPartOf(parseStorePath(path))}.narinfo`)).text();
      assert.equal(parseNarInfo(text).compression, compression);
    }
  });

  test('Nix uploads logs, and asks for them again', async () => {
    const drv = `${encodeNix32(hashOf('log').subarray(0, 20))}-logged.drv`;
    assert.equal(
      (await put(`log/${drv}`, zstdCompressSync(Buffer.from('built\n')), { 'content-encoding': 'zstd' }))
        .status,
      201,
    );
    assert.equal(await (await fetch(`${server.url}/log/${drv}`)).text(), 'built\n');
  });

  test('a path becomes visible with its narinfo, its signature by the cache, and its listing', async () => {
    const upload = await makeUpload();
    const { path } = upload.info;
    assert.equal((await put(upload.info.url, upload.file)).status, 201);
    assert.ok(!(await isVisible(path)));
    const head = await fetch(`${server.url}/${upload.info.url}`, { method: 'HEAD' });
    assert.equal(head.headers.get('content-length'), String(upload.file.length));
    assert.equal((await put(`${hashPartOf(path)}.narinfo`, formatNarInfo(upload.info))).status, 201);
    const info = parseNarInfo(await (await fetch(`${server.url}/${hashPartOf(path)}.narinfo`)).text());
    assert.equal(
      formatNarInfo({ ...info, signatures: [] }),
      formatNarInfo({ ...upload.info, signatures: [] }),
    );
    assert.ok(info.signatures.length === 2 && info.signatures.includes(upload.info.signatures[0] ?? ''));
    assert.match(await (await fetch(`${server.url}/${hashPartOf(path)}.ls`)).text(), /"narOffset":/);
    const part = await fetch(`${server.url}/${info.url}`, { headers: { range: 'bytes=4-9' } });
    assert.ok(Buffer.from(await part.arrayBuffer()).equals(upload.file.subarray(4, 10)));
    // The same again is no error: two clients may push the same path.
    assert.ok((await send(upload)).ok);
  });

  test('what is not as it says is refused with a reason, and nothing of it is visible', async () => {
    const missing = parseStorePath(`/nix/store/${'1'.repeat(32)}-missing`);
    const otherHash = narHashFromBytes(hashOf('other'));
    const bomb = zstdCompressSync(Buffer.alloc(64 * 2 ** 20));
    const badNar = Buffer.from('this is no NAR, but its hash is right');
    const cases: [string, Promise<Upload>, number, RegExp][] = [
      ['another NAR hash', makeUpload({ narHash: otherHash }), 422, /has the hash/],
      ['a larger size', makeUpload({ narSize: 100_000 }), 422, /bytes, not 100000/],
      ['a smaller size', makeUpload({ narSize: 100 }), 400, /larger than/],
      ['a size beyond all limits', makeUpload({ narSize: 2 ** 40 }), 413, /at most/],
      ['a bomb', makeUpload({ narSize: 1000 }, { file: bomb }), 400, /NAR/],
      ['a bomb with its size', makeUpload({ narSize: 64 * 2 ** 20 }, { file: bomb }), 413, /at most/],
      ['no NAR', makeUpload({}, { nar: badNar }), 400, /not a valid NAR/],
      ['other data than zstd', makeUpload({}, { file: Buffer.from('plain') }), 400, /not zstd data/],
      ['half a file', makeUpload({}, { file: zstdCompressSync(badNar).subarray(0, 20) }), 400, /./],
      [
        'a reference that is not there',
        makeUpload({ references: [missing] }),
        400,
        /upload what it refers to first/,
      ],
      [
        'a key of the same name',
        makeUpload({}, { key: stranger }),
        403,
        /no signature by a key that is trusted/,
      ],
      ['no signature', makeUpload({ signatures: [] }), 403, /no signature/],
      [
        'a content address that is not its own',
        makeUpload({ signatures: [], ca: `fixed:r:${otherHash}` }),
        403,
        /no signature/,
      ],
      [
        'another compression than its ending',
        makeUpload({ compression: 'xz' }),
        400,
        /ending of its compression/,
      ],
      ['an unknown compression', makeUpload({ compression: 'lzip' }), 400, /not taken here/],
      ['another file size', makeUpload({ fileSize: 3 }), 400, /FileSize/],
      ['another file hash', makeUpload({ fileHash: parseHash(otherHash) }), 400, /FileHash/],
    ];
    for (const [what, made, status, reason] of cases) {
      const upload = await made;
      const response = await send(upload);
      const text = await response.text();
      assert.equal(response.status, status, `${what}: ${text}`);
      assert.match(text, reason, what);
      assert.ok(!(await isVisible(upload.info.path)), what);
    }
  });

  test('files and documents under wrong names, or too large, are refused', async () => {
    const { info, file } = await makeUpload();
    const cases: [string, Buffer | string, number][] = [
      [info.url, Buffer.concat([file, Buffer.from('x')]), 422],
      [info.url, Buffer.alloc(4 * 2 ** 20 + 1), 413],
      [`${info.url}?hash=${hashPartOf(info.path)}`, file, 400],
      [`nar/x.nar`, file, 400],
      [`${'0'.repeat(32)}.narinfo`, formatNarInfo(info), 400],
      [`${hashPartOf(info.path)}.narinfo`, formatNarInfo(info), 400],
      [`${hashPartOf(info.path)}.narinfo`, 'StorePath: x', 400],
      [`${hashPartOf(info.path)}.narinfo`, 'x'.repeat(3 * 2 ** 20), 413],
      ['log/..%2f..%2fx.drv', 'x', 400],
      ['build-trace-v2/x/out.doi', '{}', 400],
      [`build-trace-v2/${hashPartOf(info.path)}-x.drv/out.doi`, '[]', 400],
      [`build-trace-v2/${hashPartOf(info.path)}-x.drv/out.doi`, '{"outPath":"../x"}', 400],
      [`realisations/sha256:${'0'.repeat(64)}!out.doi`, '{"id":"other!out"}', 400],
    ];
    for (const [name, body, status] of cases) {
      const response = await put(name, body).catch(() => undefined);
      // A server that refuses a large body may close before all of it is sent.
      if (response !== undefined) assert.equal(response.status, status, `${name}: ${await response.text()}`);
    }
    assert.ok(!(await isVisible(info.path)));
    assert.equal((await fetch(`${server.url}/${info.url}`)).status, 404);
  });

  test('a path that follows from its content needs no signature', async () => {
    using source = nixClient();
    const file = join(source.path, 'plain');
    writeFileSync(file, `content ${process.pid}`);
    for (const mode of ['nar', 'flat', 'text']) {
      const path = (await source.nix('store', 'add', '--mode', mode, '--store', source.store, file)).trim();
      await source.nix('copy', '--from', source.store, '--to', `${server.url}?compression=zstd`, path);
      assert.ok(await isVisible(parseStorePath(path)), mode);
    }
  });

  test('build traces are kept for outputs that are here, and given out in both forms', async () => {
    const upload = await makeUpload();
    await send(upload);
    const outPath = upload.info.path.slice('/nix/store/'.length);
    const id = `sha256:${'ab'.repeat(32)}!out`;
    const old = { id, outPath, signatures: [], dependentRealisations: {} };
    assert.equal((await put(`realisations/${id}.doi`, JSON.stringify(old))).status, 201);
    assert.deepEqual(await (await fetch(`${server.url}/realisations/${id}.doi`)).json(), old);
    const name = `build-trace-v2/${hashPartOf(upload.info.path)}-x.drv/out.doi`;
    assert.equal((await put(name, JSON.stringify({ outPath, signatures: [] }))).status, 201);
    assert.deepEqual(await (await fetch(`${server.url}/${name}`)).json(), { outPath, signatures: [] });
  });

  test('the upload address answers like the other', async () => {
    const { info, file } = await makeUpload();
    assert.match(await (await fetch(`${server.url}/upload/nix-cache-info`)).text(), /WantMassQuery: 1/);
    assert.equal((await put(`upload/${info.url}`, file)).status, 201);
    assert.equal((await put(`upload/${hashPartOf(info.path)}.narinfo`, formatNarInfo(info))).status, 201);
    assert.ok(await isVisible(info.path));
  });
});

test('on a server with tokens a netrc file with one that may push is needed', async () => {
  await using server = await startCacheServer(
    `[registry]\naccess = "token"\n[cache]\nunsignedUploads = true\nreadToken = true\n`,
  );
  const db = await server.kiln.db();
  using client = nixClient();
  const file = join(client.path, 'file');
  writeFileSync(file, `token ${process.pid}`);
  const path = (await client.nix('store', 'add', '--store', client.store, file)).trim();
  const netrc = join(client.path, 'netrc');
  const copy = async (scopes: readonly string[]): Promise<string> => {
    const token = await createToken(db, { name: `t${scopes.join('').replace(/\W/g, '-')}`, scopes });
    writeFileSync(netrc, `machine 127.0.0.1 login kiln password ${token.reveal()}\n`);
    client.forget();
    return await client.nix(
      'copy',
      '--from',
      client.store,
      '--to',
      server.url,
      '--option',
      'netrc-file',
      netrc,
      path,
    );
  };
  await assert.rejects(client.nix('copy', '--from', client.store, '--to', server.url, path), /401/);
  // Who may push every image may still not give hosts programs.
  await assert.rejects(copy(['*:pull,push,delete']), /403/);
  await assert.rejects(copy(['@cache:pull']), /403/);
  await copy(['@cache:pull,push']);
  const headers = { authorization: `Basic ${Buffer.from('x:y').toString('base64')}` };
  assert.equal((await fetch(`${server.url}/nix-cache-info`, { headers })).status, 401);
});
