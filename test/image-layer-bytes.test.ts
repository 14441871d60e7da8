import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, link, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { extract } from 'tar-stream';
import { hashLayer } from '../src/image/hash-layer.ts';
import { LayerHasher } from '../src/image/layer-hasher.ts';
import { LayerReader } from '../src/image/layer-reader.ts';
import { digestOf } from '../src/oci/digest.ts';
import { type LayerRecipe, TAR_PROFILE } from '../src/oci/layer-recipe.ts';
import { sampleStore, type SampleStore } from './harness/sample-closure.ts';

const run = promisify(execFile);
const LONG = `${'directory/'.repeat(14)}${'n'.repeat(120)}`;

async function fill(store: SampleStore): Promise<LayerRecipe> {
  const files = {
    'bin/tool': 'x:#!/bin/sh\n',
    a: 'file',
    'a.txt': 'sorts between a and a/',
    'a-dir/inner': 'x',
    'ü/ß': 'names in UTF-8',
    [LONG]: 'long name',
    link: '->bin/tool',
    'long-link': `->${'t'.repeat(300)}`,
    empty: '',
    block: 'b'.repeat(512),
    large: Buffer.alloc(700_001, 'large '),
    'none/': '',
  };
  const tree = await store.add({ name: 'tree', files });
  const file = await store.add({ name: 'file', files: 'the store path is a file' });
  const symlink = await store.add({ name: 'symlink', files: '->tree' });
  const paths = [tree, file, symlink].map(
    ({ path, narHash, narSize }) => ({ type: 'store-path', path, narHash, narSize }) as const,
  );
  const literals = [
    { type: 'directory', path: '/etc', mode: 0o755, uid: 0, gid: 0 },
    {
      type: 'file',
      path: '/etc/motd',
      mode: 0o644,
      uid: 1000,
      gid: 100,
      contentBase64: Buffer.from('hello\n').toString('base64'),
    },
    { type: 'symlink', path: '/sh', target: '/nix/store/x/bin/sh' },
    { type: 'directory', path: '/tmp', mode: 0o1777, uid: 0, gid: 0 },
    { type: 'directory', path: '/var', mode: 0o755, uid: 1_000_730_000, gid: 0 },
  ] as const;
  return { profile: TAR_PROFILE, mtime: 1, entries: [...paths, ...literals] };
}

async function readAll(
  reader: LayerReader,
  recipe: LayerRecipe,
  start?: number,
  end?: number,
): Promise<Buffer> {
  const stream = await reader.open(
    { recipe },
    { ...(start === undefined ? {} : { start }), ...(end === undefined ? {} : { end }) },
  );
  const chunks: Buffer[] = [];
  for await (const chunk of stream) {
    assert.ok(chunk.length <= 256 * 1024);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

test('GNU tar and tar-stream read a layer back as the tree it was made of', async () => {
  await using store = await sampleStore();
  const recipe = await fill(store);
  await using reader = new LayerReader({ location: store.location, threads: 1 });
  const tar = await readAll(reader, recipe);
  const folder = await mkdtemp(join(tmpdir(), 'kiln-tar-'));
  try {
    await writeFile(join(folder, 'layer.tar'), tar);
    await run('tar', ['-xf', 'layer.tar', '--no-same-owner', '--exclude=var'], { cwd: folder });
    await run('diff', [
      '-r',
      '--no-dereference',
      join(folder, 'nix/store'),
      `${store.physicalRoot}/nix/store`,
    ]);
    assert.equal(await readFile(join(folder, 'etc/motd'), 'utf8'), 'hello\n');
    const { stdout } = await run('tar', ['-tvf', 'layer.tar', '--numeric-owner', '--utc'], { cwd: folder });
    assert.match(stdout, /^-r-xr-xr-x 0\/0 +10 1970-01-01 00:00 .*bin\/tool$/m);
    assert.match(stdout, /^drwxrwxrwt 0\/0 +0 1970-01-01 00:00 tmp\/$/m);
    assert.match(stdout, /^drwxr-xr-x 1000730000\/0 .* var\/$/m);
    await run('chmod', ['-R', 'u+w', folder]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  const names: string[] = [];
  const parser = Readable.from([tar]).pipe(extract());
  for await (const entry of parser) {
    names.push(entry.header.name);
    entry.resume();
  }
  assert.deepEqual(
    names,
    [...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
  );
  assert.ok(names.includes('nix/store/') && names.some((name) => name.endsWith(LONG)));
  assert.equal(tar.length % 512, 0);
  assert.ok(tar.subarray(-1024).every((byte) => byte === 0));
});

test('hashing and reading give the same bytes', async () => {
  await using store = await sampleStore();
  const recipe = await fill(store);
  await using reader = new LayerReader({ location: store.location, threads: 1 });
  await using hasher = new LayerHasher({ location: store.location, threads: 2 });
  const [hashed, again] = await hasher.hash([recipe, recipe]);
  const tar = await readAll(reader, recipe);
  assert.deepEqual(hashed, { digest: digestOf(tar), size: tar.length });
  assert.deepEqual(again, hashed);
  assert.equal(await reader.size(recipe), tar.length);
});

test('every range is the same as the slice of the whole', async () => {
  await using store = await sampleStore();
  const recipe = await fill(store);
  await using reader = new LayerReader({ location: store.location, threads: 2 });
  const tar = await readAll(reader, recipe);
  await fc.assert(
    fc.asyncProperty(fc.nat(tar.length), fc.nat(tar.length), async (a, b) => {
      const [start, end] = [Math.min(a, b), Math.max(a, b)];
      assert.ok((await readAll(reader, recipe, start, end)).equals(tar.subarray(start, end)));
    }),
    { numRuns: 60 },
  );
  for (let start = 0; start < 4096; start += 511) {
    assert.ok((await readAll(reader, recipe, start, start + 513)).equals(tar.subarray(start, start + 513)));
  }
  await assert.rejects(reader.open({ recipe }, { start: tar.length + 1 }), { code: 'invalid-input' });
});

test('names that are not UTF-8 keep their bytes', async () => {
  await using store = await sampleStore();
  const { path, narHash, narSize } = await store.add({ name: 'tree', files: { plain: 'x' } });
  const odd = Buffer.concat([Buffer.from(`${store.physicalRoot}${path}/`), Buffer.from([0xff, 0xfe, 0x41])]);
  await writeFile(odd, 'odd');
  const recipe: LayerRecipe = {
    profile: TAR_PROFILE,
    mtime: 1,
    entries: [{ type: 'store-path', path, narHash, narSize }],
  };
  await using reader = new LayerReader({ location: store.location, threads: 1 });
  const tar = await readAll(reader, recipe);
  const folder = await mkdtemp(join(tmpdir(), 'kiln-tar-'));
  try {
    await writeFile(join(folder, 'layer.tar'), tar);
    await run('tar', ['-xf', 'layer.tar'], { cwd: folder });
    const copy = Buffer.concat([Buffer.from(`${folder}${path}/`), Buffer.from([0xff, 0xfe, 0x41])]);
    assert.equal(await readFile(copy, 'utf8'), 'odd');
    await run('chmod', ['-R', 'u+w', folder]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test('hard links and the owner’s write bit leave no trace', async () => {
  await using store = await sampleStore();
  const recipe = await fill(store);
  const before = hashLayer(recipe, store.location);
  const tree = store.physicalRoot + store.pathOf('tree');
  await link(`${tree}/block`, `${store.physicalRoot}/elsewhere`);
  await chmod(`${tree}/a`, 0o644);
  await chmod(`${tree}/bin/tool`, 0o700);
  assert.deepEqual(hashLayer(recipe, store.location), before);
});

test('a path that is gone is an error before the first byte', async () => {
  await using store = await sampleStore();
  const recipe = await fill(store);
  await using reader = new LayerReader({ location: store.location, threads: 1 });
  await readAll(reader, recipe);
  await rm(store.physicalRoot + store.pathOf('file'));
  await assert.rejects(reader.open({ recipe }), { code: 'store-path-missing', where: store.pathOf('file') });
  assert.throws(() => hashLayer(recipe, store.location), { code: 'store-path-missing' });
  await using hasher = new LayerHasher({ location: store.location, threads: 1 });
  await assert.rejects(hasher.hash([recipe]), { code: 'store-path-missing' });
});

test('a file with another size is an error before the first byte', async () => {
  await using store = await sampleStore();
  const recipe = await fill(store);
  const { size } = hashLayer(recipe, store.location);
  await truncate(`${store.physicalRoot}${store.pathOf('tree')}/large`, 100);
  await using reader = new LayerReader({ location: store.location, threads: 1 });
  await assert.rejects(reader.open({ recipe, size }), { code: 'store-path-changed' });
});

test('a file that shrinks while a layer is sent breaks the stream off', async () => {
  await using store = await sampleStore();
  const files = Object.fromEntries(
    Array.from({ length: 40 }, (_, index) => [`file${index + 10}`, Buffer.alloc(200_000, index)]),
  );
  const { path, narHash, narSize } = await store.add({ name: 'tree', files });
  const recipe: LayerRecipe = {
    profile: TAR_PROFILE,
    mtime: 1,
    entries: [{ type: 'store-path', path, narHash, narSize }],
  };
  await using reader = new LayerReader({ location: store.location, threads: 1 });
  const stream = await reader.open({ recipe });
  await truncate(`${store.physicalRoot}${path}/file49`, 10);
  let bytes = 0;
  await assert.rejects(
    async () => {
      for await (const chunk of stream) bytes += chunk.length;
    },
    { code: 'store-path-changed' },
  );
  assert.ok(bytes < stream.size);
});

test('writing to a registered path is noticed although its size stays', async () => {
  await using store = await sampleStore();
  const { path, narHash, narSize } = await store.add({ name: 'tree', files: { a: 'one' } });
  const recipe: LayerRecipe = {
    profile: TAR_PROFILE,
    mtime: 1,
    entries: [{ type: 'store-path', path, narHash, narSize }],
  };
  await using reader = new LayerReader({
    location: { ...store.location, registeredTimes: true },
    threads: 1,
  });
  await assert.rejects(reader.open({ recipe }), { code: 'store-path-changed' });
});

test('a reader that stops early or is cancelled holds nothing', async () => {
  await using store = await sampleStore();
  const recipe = await fill(store);
  await using reader = new LayerReader({ location: store.location, threads: 1 });
  for await (const chunk of await reader.open({ recipe })) {
    assert.ok(chunk.length > 0);
    break;
  }
  const stop = new AbortController();
  const stream = await reader.open({ recipe }, { signal: stop.signal });
  await stream.next();
  stop.abort(new Error('enough'));
  await assert.rejects(async () => stream.next(), /enough/);
  assert.ok((await readAll(reader, recipe)).length > 0);
});

test('many readers at once get whole layers', async () => {
  await using store = await sampleStore();
  const recipe = await fill(store);
  await using reader = new LayerReader({ location: store.location, threads: 2 });
  const { digest } = hashLayer(recipe, store.location);
  const copies = await Promise.all(Array.from({ length: 32 }, async () => readAll(reader, recipe)));
  for (const copy of copies) assert.equal(digestOf(copy), digest);
});
