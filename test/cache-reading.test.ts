/** The store as a binary cache, read by Nix and by hand. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { zstdDecompressSync } from 'node:zlib';
import { fingerprintOf } from '../src/store/fingerprint.ts';
import { parseListing } from '../src/store/nar-listing.ts';
import { type NarInfo, parseNarInfo } from '../src/store/narinfo.ts';
import { parsePublicKey, verifySignature } from '../src/store/signature.ts';
import { hashPartOf, parseStorePath } from '../src/store/store-path.ts';
import { type CacheServer, nixClient, startCacheServer } from './harness/cache-server.ts';
import { derivation } from './harness/kiln-cli.ts';
import { workFolder } from './harness/work-folder.ts';

/** A path with a reference, an executable, links, an empty file and folder, and a file of some size. */
const SCRIPT = [
  'mkdir -p $out/bin $out/empty $out/share',
  'printf "#!/bin/sh\\necho hi\\n" >$out/bin/run; chmod +x $out/bin/run',
  'ln -s ../bin/run $out/share/link; : >$out/share/none; echo $dep >$out/share/dep',
  'i=0; while [ $i -lt 3000 ]; do echo "line $i of a file that compresses well"; i=$((i+1)); done >$out/share/long',
].join('\n');

function build(name: string): { readonly path: ReturnType<typeof parseStorePath>; readonly drv: string } {
  using folder = workFolder();
  const dependency = `dep = builtins.toFile "${name}-dep" "needed";`;
  const file = folder.write('default.nix', derivation(name, SCRIPT, dependency).replace('$dep', '$dep'));
  const drv = execFileSync('nix-instantiate', [file], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const out = execFileSync('nix-build', ['--no-out-link', file], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return { path: parseStorePath(out.trim()), drv: drv.trim() };
}

describe('a cache of everything in the store', async () => {
  let server: CacheServer;
  const { path, drv } = build('cache-reading');
  const hash = hashPartOf(path);
  const nar = execFileSync('nix-store', ['--dump', path], { maxBuffer: 2 ** 26 });
  let info: NarInfo;
  before(async () => {
    server = await startCacheServer('[cache]\nserve = "all"\ntransferEncoding = "always"\n');
    info = parseNarInfo(await (await fetch(`${server.url}/${hash}.narinfo`)).text());
  });
  after(() => server[Symbol.asyncDispose]());

  test('Nix copies a closure from it with signatures on, and looks into it', async () => {
    using client = nixClient();
    const keys = await server.publicKeys();
    const trust = ['--option', 'require-sigs', 'true', '--option', 'trusted-public-keys'];
    await assert.rejects(
      client.nix('copy', '--from', server.url, '--to', client.store, ...trust, '', path),
      /lacks a signature by a trusted key/,
    );
    await client.nix('copy', '--from', server.url, '--to', client.store, ...trust, keys, path);
    assert.match(await client.nix('path-info', '--store', client.store, '--sigs', path), /-1:/);
    await client.nix(
      'store',
      'verify',
      '--store',
      client.store,
      '--recursive',
      '--option',
      'trusted-public-keys',
      keys,
      path,
    );
    const closure = await client.nix('path-info', '--store', server.url, '--recursive', path);
    assert.match(closure, /cache-reading-dep/);
    const listing = await client.nix('store', 'ls', '--store', server.url, '--recursive', '--long', path);
    assert.match(listing, /bin\/run/);
    assert.equal(
      await client.nix('store', 'cat', '--store', server.url, `${path}/bin/run`),
      '#!/bin/sh\necho hi\n',
    );
  });

  test('Nix reads build logs from it', async () => {
    using client = nixClient();
    const own = execFileSync('nix-store', ['--read-log', drv], { encoding: 'utf8' });
    assert.equal(await client.nix('log', '--store', server.url, drv), own);
  });

  test('the narinfo is signed, and its address names the content', async () => {
    const keys = (await server.publicKeys()).split(' ').map(parsePublicKey);
    assert.ok(info.signatures.some((text) => verifySignature(fingerprintOf(info), text, keys) !== undefined));
    assert.ok(info.url.includes(info.narHash.slice('sha256:'.length)));
    assert.equal(info.narSize, nar.length);
  });

  test('GET and HEAD of every kind of address state the same', async () => {
    const drvName = drv.slice('/nix/store/'.length);
    for (const name of ['nix-cache-info', `${hash}.narinfo`, `${hash}.ls`, info.url, `log/${drvName}`]) {
      for (const encoding of ['identity', 'zstd']) {
        const headers = { 'accept-encoding': encoding };
        const get = await fetch(`${server.url}/${name}`, { headers });
        const head = await fetch(`${server.url}/${name}`, { method: 'HEAD', headers });
        const body = await get.arrayBuffer();
        assert.equal(get.status, 200, name);
        assert.equal(head.status, 200, name);
        for (const field of ['content-length', 'content-type', 'content-encoding', 'accept-ranges', 'etag'])
          assert.equal(head.headers.get(field), get.headers.get(field), `${field} of ${name}`);
        if (encoding === 'identity')
          assert.equal(Number(head.headers.get('content-length')), body.byteLength);
      }
    }
  });

  test('ranges are slices of the NAR', async () => {
    const url = `${server.url}/${info.url}`;
    const cases: [string, number, number][] = [
      ['bytes=0-0', 0, 1],
      [`bytes=${nar.length - 1}-`, nar.length - 1, nar.length],
      ['bytes=-40', nar.length - 40, nar.length],
    ];
    for (let at = 7; at < nar.length; at += 4999)
      cases.push([`bytes=${at}-${at + 600}`, at, Math.min(at + 601, nar.length)]);
    for (const [range, start, end] of cases) {
      const response = await fetch(url, { headers: { range, 'accept-encoding': 'zstd' } });
      assert.equal(response.status, 206, range);
      assert.equal(response.headers.get('content-encoding'), null);
      assert.equal(response.headers.get('content-range'), `bytes ${start}-${end - 1}/${nar.length}`);
      assert.ok(Buffer.from(await response.arrayBuffer()).equals(nar.subarray(start, end)), range);
    }
    const beyond = await fetch(url, { headers: { range: `bytes=${nar.length}-` } });
    assert.equal(beyond.status, 416);
    assert.equal(beyond.headers.get('content-range'), `bytes */${nar.length}`);
  });

  test('a client that takes zstd gets it, and the bytes of the NAR out of it', async () => {
    const raw = await rawGet(server.url, info.url, 'accept-encoding: zstd\r\n');
    assert.match(raw.head, /content-encoding: zstd/);
    assert.doesNotMatch(raw.head, /accept-ranges|content-length/);
    assert.ok(raw.body.length < nar.length / 4);
    assert.ok(zstdDecompressSync(raw.body).equals(nar));
    const refused = await rawGet(server.url, info.url, 'accept-encoding: zstd;q=0, gzip\r\n');
    assert.ok(refused.body.equals(nar));
  });

  test('the listing tells where each file lies in the NAR', async () => {
    const root = parseListing(await (await fetch(`${server.url}/${hash}.ls`)).text());
    const share = root.type === 'directory' ? root.entries.get('share') : undefined;
    const file = share?.type === 'directory' ? share.entries.get('long') : undefined;
    assert.ok(file?.type === 'regular' && file.narOffset !== undefined);
    const contents = nar.subarray(file.narOffset, file.narOffset + file.size).toString();
    assert.match(contents, /^line 0 [^]*line 2999 of a file that compresses well\n$/);
  });

  test('a NAR hash that the path does not have is not found, and neither is what never was', async () => {
    const other = `${info.url[4] === '0' ? '1' : '0'}${info.url.slice(5)}`;
    for (const name of [`nar/${other}`, `${'0'.repeat(32)}.narinfo`, `${'0'.repeat(32)}.ls`]) {
      const response = await fetch(`${server.url}/${name}`);
      assert.equal(response.status, 404, name);
      assert.equal(response.headers.get('cache-control'), 'no-store');
    }
  });

  test('addresses of nix-serve still work', async () => {
    const narHash = info.narHash.slice('sha256:'.length);
    const response = await fetch(`${server.url}/nar/${hash}-${narHash}.nar`);
    const digest = createHash('sha256').update(Buffer.from(await response.arrayBuffer()));
    assert.equal(digest.digest('hex'), createHash('sha256').update(nar).digest('hex'));
  });

  test('a path that is added while it runs is seen at once', async () => {
    using folder = workFolder();
    const file = folder.write('cache-new', `made at ${process.hrtime.bigint()}`);
    const name = execFileSync('nix-store', ['--add', file], { encoding: 'utf8' }).trim();
    const response = await fetch(`${server.url}/${hashPartOf(parseStorePath(name))}.narinfo`);
    assert.equal(response.status, 200);
    execFileSync('nix-store', ['--delete', name], { stdio: 'ignore' });
    const gone = await fetch(`${server.url}/${hashPartOf(parseStorePath(name))}.narinfo`);
    assert.equal(gone.status, 404);
  });

  test('hostile addresses are refused, and nothing of this machine comes back', async () => {
    const names = [
      '../../etc/passwd',
      'log/../../../../etc/passwd',
      'log/..%2f..%2f..%2fetc%2fpasswd',
      'log/%2e%2e/%2e%2e/etc/passwd.drv',
      `log/${hash}-x%00.drv`,
      `log/${hash}-..%2f..%2fpasswd.drv`,
      'nar/..%2f..%2fetc%2fpasswd.nar',
      `nar/${'0'.repeat(52)}.nar?hash=../../etc`,
      `nar/${'e'.repeat(52)}.nar`,
      `nar/${'0'.repeat(51)}.nar`,
      `nar/${'z'.repeat(52)}.nar`,
      `nar/${'0'.repeat(52)}.nar.sh`,
      `${hash.toUpperCase()}.narinfo`,
      `${hash}.narinfo/`,
      `${hash}%2enarinfo/../x`,
      'realisations/sha256:..%2f..%2fx!out.doi',
      `build-trace-v2/..%2fpasswd.drv/out.doi`,
      `build-trace-v2/${hash}-x.drv/..%2fout.doi`,
      'debuginfo/..%2f..%2fpasswd',
      'nar/%zz',
      'upload/../etc/passwd',
      'upload/log/..%2f..%2fpasswd.drv',
    ];
    for (const name of names) {
      const { head, body } = await rawGet(server.url, name);
      assert.match(head, /^HTTP\/1.1 (?:400|404) /, `${name}: ${head.split('\r\n')[0]}`);
      assert.doesNotMatch(body.toString(), /root:|\/nix\/store/, name);
    }
  });
});

test('a cache shows of the store only what it built or signed', async () => {
  const { path, drv } = build('cache-private');
  await using server = await startCacheServer();
  const hash = hashPartOf(path);
  const status = async (name: string): Promise<number> => (await fetch(`${server.url}/${name}`)).status;
  const log = `log/${drv.slice('/nix/store/'.length)}`;
  assert.equal(await status(`${hash}.narinfo`), 404);
  assert.equal(await status(`${hash}.ls`), 404);
  assert.equal(await status(log), 404);
  const roots = await server.kiln.roots();
  await roots.hold('build-test', path);
  const text = await (await fetch(`${server.url}/${hash}.narinfo`)).text();
  const [dependency] = parseNarInfo(text).references.filter((reference) => reference !== path);
  assert.ok(dependency !== undefined);
  assert.equal(await status(`${hashPartOf(dependency)}.narinfo`), 200);
  assert.equal(await status(parseNarInfo(text).url), 200);
  assert.equal(await status(log), 200);
  assert.equal(await status(`${hashPartOf(parseStorePath(drv))}.narinfo`), 404);
  await roots.release('build-test');
});

/** By hand, since URL classes tidy paths up and fetch decodes bodies. */
async function rawGet(url: string, name: string, headers = ''): Promise<{ head: string; body: Buffer }> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  socket.write(`GET /${name} HTTP/1.1\r\nHost: x\r\n${headers}Connection: close\r\n\r\n`);
  const all = Buffer.concat(await Array.fromAsync(socket as AsyncIterable<Buffer>));
  const end = all.indexOf('\r\n\r\n');
  const head = all.subarray(0, end).toString().toLowerCase().replace(/^http/, 'HTTP');
  const body = all.subarray(end + 4);
  return { head, body: head.includes('transfer-encoding: chunked') ? joinChunks(body) : body };
}

function joinChunks(body: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; ;) {
    const line = body.indexOf('\r\n', at);
    const size = Number.parseInt(body.subarray(at, line).toString(), 16);
    if (!(size > 0)) return Buffer.concat(parts);
    parts.push(body.subarray(line + 2, line + 2 + size));
    at = line + 2 + size + 2;
  }
}
