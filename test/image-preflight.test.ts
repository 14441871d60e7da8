import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { buildImage, type BuiltImage, type ImageRequest } from '../src/image/build-image.ts';
import { readElf } from '../src/image/elf.ts';
import { findEntryPoint } from '../src/image/entry-point.ts';
import { ImageTree } from '../src/image/image-tree.ts';
import { readShebang } from '../src/image/shebang.ts';
import { parseImageConfig } from '../src/oci/image-config.ts';
import type { LiteralEntry } from '../src/oci/layer-recipe.ts';
import { sampleStore, type SampleStore, type SampleTree } from './harness/sample-closure.ts';

const NODE = readFileSync(process.execPath);

/** A program of this machine's architecture with the given interpreter, libraries and search path. */
function elf(options: {
  interpreter?: string;
  needed?: readonly string[];
  runpath?: string;
  machine?: number;
}): Buffer {
  const strings = ['', ...(options.needed ?? []), options.runpath ?? '', options.interpreter ?? ''];
  const table = Buffer.from(`${strings.join('\0')}\0`);
  const at = (text: string): number => (text === '' ? 0 : table.indexOf(`\0${text}\0`) + 1);
  const tags: [number, number][] = [
    ...(options.needed ?? []).map((library): [number, number] => [1, at(library)]),
    ...(options.runpath === undefined ? [] : [[29, at(options.runpath)] as [number, number]]),
    [5, 0x400000 + 0x400],
    [10, table.length],
    [0, 0],
  ];
  const out = Buffer.alloc(0x400 + table.length);
  out.write('\x7fELF\x02\x01\x01', 'latin1');
  out.writeUInt16LE(2, 16);
  out.writeUInt16LE(options.machine ?? 62, 18);
  out.writeBigUInt64LE(64n, 32);
  out.writeUInt16LE(56, 54);
  const segments: [type: number, offset: number, size: number][] = [
    [1, 0, out.length],
    [2, 0x200, tags.length * 16],
  ];
  if (options.interpreter !== undefined)
    segments.push([3, 0x400 + at(options.interpreter), options.interpreter.length + 1]);
  out.writeUInt16LE(segments.length, 56);
  segments.forEach(([type, offset, size], index) => {
    const start = 64 + index * 56;
    out.writeUInt32LE(type, start);
    out.writeBigUInt64LE(BigInt(offset), start + 8);
    out.writeBigUInt64LE(BigInt(0x400000 + offset), start + 16);
    out.writeBigUInt64LE(BigInt(size), start + 32);
  });
  tags.forEach(([tag, value], index) => {
    out.writeBigUInt64LE(BigInt(tag), 0x200 + index * 16);
    out.writeBigUInt64LE(BigInt(value), 0x208 + index * 16);
  });
  table.copy(out, 0x400);
  return out;
}

const program = (options: Parameters<typeof elf>[0]): Buffer =>
  Buffer.concat([Buffer.from('x:'), elf(options)]);

async function build(store: SampleStore, request: Partial<ImageRequest> = {}): Promise<BuiltImage> {
  const base = { closure: store.closure('app'), system: 'x86_64-linux', name: 'app' };
  return buildImage({ ...base, ...request }, { location: store.location, concurrency: 1 });
}

/** Codes of the findings of an image whose only path has these files. */
async function codes(files: SampleTree, request: Partial<ImageRequest> = {}): Promise<string[]> {
  await using store = await sampleStore();
  await store.add({ name: 'app', files });
  const { findings } = await build(store, request);
  return findings.map((finding) => `${finding.severity} ${finding.code}`);
}

function rootEntries(image: BuiltImage): Map<string, LiteralEntry> {
  const entries = image.layers.at(-1)?.recipe.entries ?? [];
  return new Map(
    entries.flatMap((entry) => (entry.type === 'store-path' ? [] : [[entry.path, entry] as const])),
  );
}

test('a program with all it needs has no findings', async () => {
  await using store = await sampleStore();
  const libc = await store.add({
    name: 'glibc',
    files: { 'lib/ld-linux-x86-64.so.2': program({}), 'lib/libc.so.6': program({}) },
  });
  const lib = await store.add({
    name: 'lib',
    references: ['glibc'],
    files: { 'lib/libz.so': program({ needed: ['libc.so.6'] }) },
  });
  const interpreter = `${libc.path}/lib/ld-linux-x86-64.so.2`;
  const app = program({
    interpreter,
    needed: ['libz.so', 'libown.so', 'libc.so.6'],
    runpath: `${lib.path}/lib:$ORIGIN/../lib`,
  });
  await store.add({
    name: 'app',
    references: ['glibc', 'lib'],
    files: { 'bin/app': app, 'lib/libown.so': program({}) },
  });
  const image = await build(store);
  assert.deepEqual(image.findings, []);
  const loader = rootEntries(image).get('/lib64/ld-linux-x86-64.so.2');
  assert.deepEqual(loader, { type: 'symlink', path: '/lib64/ld-linux-x86-64.so.2', target: interpreter });
});

test('what keeps an image from starting is named before it is run', async () => {
  assert.deepEqual(await codes({ 'bin/app': program({ interpreter: '/lib64/ld-linux-x86_64.so.2' }) }), [
    'error interpreter-missing',
  ]);
  assert.deepEqual(await codes({ 'bin/app': program({ needed: ['libnone.so'] }) }), [
    'error library-missing',
  ]);
  assert.deepEqual(await codes({ 'bin/app': program({ machine: 183 }) }), ['error wrong-architecture']);
  assert.deepEqual(await codes({ 'bin/app': program({ machine: 183 }) }, { system: 'aarch64-linux' }), []);
  assert.deepEqual(await codes({ 'bin/app': 'x:#!/usr/bin/python3\n' }), ['error interpreter-missing']);
  assert.deepEqual(await codes({ 'bin/app': 'x:echo hello\n' }), ['error not-a-program']);
  assert.deepEqual(await codes({ 'bin/app': 'plain' }, { settings: { entrypoint: ['app'] } }), [
    'error not-executable',
  ]);
  assert.deepEqual(await codes({}, { settings: { entrypoint: ['/bin/none'] } }), [
    'error entry-point-missing',
  ]);
});

test('other broken programs and dangling settings are found too', async () => {
  const ok = program({});
  assert.deepEqual(await codes({ 'bin/app': ok, 'bin/other': 'x:#!/none\n' }), [
    'warning interpreter-missing',
  ]);
  assert.deepEqual(await codes({ 'bin/app': ok, 'lib/libssl.so.3': 'x' }), ['warning certificates-missing']);
  const gone = `/nix/store/${'0'.repeat(32)}-gone/share`;
  assert.deepEqual(await codes({ 'bin/app': ok }, { environmentVars: { DATA: gone } }), [
    'error dangling-reference',
  ]);
  assert.deepEqual(await codes({ 'bin/app': ok }, { settings: { workdir: '/nix/store/none' } }), [
    'error working-directory-missing',
  ]);
  assert.deepEqual(await codes({ 'bin/app': ok }, { settings: { workdir: '/srv/app' } }), []);
});

test('env scripts are followed through PATH', async () => {
  const tools = { 'bin/env': program({}), 'bin/app': 'x:#!/usr/bin/env tool\n' };
  assert.deepEqual(await codes(tools), ['error interpreter-missing']);
  assert.deepEqual(
    await codes({ ...tools, 'bin/tool': program({}) }, { program: { mainProgram: 'app' } }),
    [],
  );
});

test('Kiln supplies what programs take for granted', async () => {
  await using store = await sampleStore();
  await store.add({ name: 'nss-cacert-3.1', files: { 'etc/ssl/certs/ca-bundle.crt': 'certificates' } });
  await store.add({ name: 'tzdata-2026a', files: { 'share/zoneinfo/UTC': 'zone' } });
  await store.add({ name: 'bash-5.3', files: { 'bin/bash': program({}), 'bin/sh': '->bash' } });
  await store.add({ name: 'busybox-1', files: { 'bin/sh': program({}), 'bin/env': program({}) } });
  await store.add({
    name: 'app',
    references: ['nss-cacert-3.1', 'tzdata-2026a', 'bash-5.3', 'busybox-1'],
    files: { 'bin/app': program({}) },
  });
  const image = await build(store, {
    settings: {
      writable: ['/data/cache'],
      files: { '/etc/app/app.conf': 'a=b\n', '/run.sh': '#!/bin/sh\n' },
    },
  });
  const root = rootEntries(image);
  const certificates = `${store.pathOf('nss-cacert-3.1')}/etc/ssl/certs/ca-bundle.crt`;
  for (const path of [
    '/etc/ssl/certs/ca-bundle.crt',
    '/etc/ssl/certs/ca-certificates.crt',
    '/etc/pki/tls/certs/ca-bundle.crt',
  ]) {
    assert.deepEqual(root.get(path), { type: 'symlink', path, target: certificates });
  }
  assert.deepEqual(root.get('/tmp'), { type: 'directory', path: '/tmp', mode: 0o1777, uid: 0, gid: 0 });
  assert.deepEqual(root.get('/bin/sh'), {
    type: 'symlink',
    path: '/bin/sh',
    target: `${store.pathOf('bash-5.3')}/bin/sh`,
  });
  assert.deepEqual(root.get('/usr/bin/env'), {
    type: 'symlink',
    path: '/usr/bin/env',
    target: `${store.pathOf('busybox-1')}/bin/env`,
  });
  assert.deepEqual(root.get('/data/cache'), {
    type: 'directory',
    path: '/data/cache',
    mode: 0o775,
    uid: 1000,
    gid: 0,
  });
  assert.equal(root.get('/data')?.type, 'directory');
  assert.equal(root.get('/etc')?.type, 'directory');
  assert.equal(root.get('/home/app')?.type, 'directory');
  const text = (path: string): string => {
    const entry = root.get(path);
    return entry?.type === 'file' ? Buffer.from(entry.contentBase64, 'base64').toString() : '';
  };
  assert.match(text('/etc/passwd'), /^app:x:1000:1000:app:\/home\/app:/m);
  assert.match(text('/etc/group'), /^app:x:1000:$/m);
  assert.match(text('/etc/nsswitch.conf'), /^hosts: files dns$/m);
  assert.equal(text('/etc/app/app.conf'), 'a=b\n');
  const { config, architecture } = parseImageConfig(image.config);
  assert.equal(architecture, 'amd64');
  assert.equal(config.User, '1000:1000');
  assert.equal(config.StopSignal, 'SIGTERM');
  assert.ok(config.Env?.includes(`SSL_CERT_FILE=${certificates}`));
  assert.ok(config.Env?.includes(`TZDIR=${store.pathOf('tzdata-2026a')}/share/zoneinfo`));
  assert.ok(config.Env?.includes(`PATH=${store.pathOf('app')}/bin:/usr/bin:/bin`));
  assert.deepEqual(image.findings, []);
});

test('extra files cannot be put into the store or outside of the image', async () => {
  for (const path of ['/nix/store/x', '/a/../b', '/a//b', 'relative']) {
    await assert.rejects(codes({ 'bin/app': program({}) }, { settings: { files: { [path]: 'x' } } }), {
      code: 'invalid-input',
    });
  }
});

test('the entry point is found by name, or the candidates are listed', async () => {
  await using store = await sampleStore();
  const { path } = await store.add({
    name: 'tool-1.2',
    files: { 'bin/one': 'x:a', 'bin/tool': 'x:b', 'bin/.hidden': 'x:c', 'bin/notes': 'text' },
  });
  const pair = await store.add({ name: 'pair', files: { 'bin/first': 'x:a', 'bin/second': 'x:b' } });
  const alone = await store.add({
    name: 'alone',
    files: { 'bin/.alone-wrapped': 'x:b', 'bin/thing': 'x:a' },
  });
  const script = await store.add({ name: 'script', files: 'x:#!/bin/sh\n' });
  const empty = await store.add({ name: 'empty', files: { 'share/x': 'x' } });
  const tree = new ImageTree(store.closure(), [], store.physicalRoot);
  const find = (root: typeof path, options: object = {}): readonly string[] =>
    findEntryPoint({ roots: [root], facts: {}, tree, ...options });
  assert.deepEqual(find(path), [`${path}/bin/tool`]);
  assert.deepEqual(find(path, { facts: { mainProgram: 'one' } }), [`${path}/bin/one`]);
  assert.deepEqual(find(path, { entrypoint: ['one', '--flag'] }), [`${path}/bin/one`, '--flag']);
  assert.deepEqual(find(alone.path), [`${alone.path}/bin/thing`]);
  assert.deepEqual(find(script.path), [script.path]);
  assert.throws(() => find(pair.path), { code: 'image-failed', where: 'first, second' });
  assert.throws(() => find(empty.path), { code: 'image-failed' });
  assert.throws(() => find(path, { entrypoint: ['none'] }), { code: 'image-failed' });
});

test('links in an image are followed as the kernel does, not on this machine', async () => {
  await using store = await sampleStore();
  const other = await store.add({ name: 'other', files: { 'bin/real': 'x:1' } });
  const { path } = await store.add({
    name: 'app',
    files: {
      bin: `->${other.path}/bin`,
      loop: '->loop',
      out: '->/etc/passwd',
      up: '->../../../nix/store',
      file: 'x',
    },
  });
  const tree = new ImageTree(store.closure('app'), [], store.physicalRoot);
  assert.equal(tree.find(`${path}/bin/real`)?.path, `${other.path}/bin/real`);
  assert.equal(tree.find(`${path}/up/../store/..`)?.path, '/nix');
  for (const gone of ['loop', 'out', 'file/x', 'file/..', 'none'])
    assert.equal(tree.find(`${path}/${gone}`), undefined);
  assert.equal(tree.find('/etc/passwd'), undefined);
});

test('a real program gives its loader and its libraries', () => {
  const facts = readElf((offset, length) => NODE.subarray(offset, offset + length));
  assert.match(facts?.interpreter ?? '', /ld-linux|ld-musl/);
  assert.ok(facts?.needed.some((library) => library.startsWith('libc.')));
});

test('no bytes make the ELF reader throw or take long', () => {
  const sample = elf({ interpreter: '/lib/ld.so', needed: ['libc.so.6'], runpath: '/lib' });
  const damage = fc.array(fc.tuple(fc.nat(sample.length - 1), fc.nat(255)), { maxLength: 12 });
  fc.assert(
    fc.property(damage, fc.nat(sample.length), (changes, length) => {
      const broken = Buffer.from(sample);
      for (const [at, value] of changes) broken[at] = value;
      const file = broken.subarray(0, Math.max(length, 40));
      readElf((offset, size) =>
        file.subarray(Math.min(offset, file.length), Math.min(offset + size, file.length)),
      );
    }),
    { numRuns: 2000 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
      const file = Buffer.concat([Buffer.from('\x7fELF'), bytes]);
      readElf((offset, size) => file.subarray(offset, offset + size));
      readShebang(Buffer.concat([Buffer.from('#!'), bytes]));
    }),
  );
});

test('shebang lines are read as the kernel reads them', () => {
  const read = (line: string): object | undefined => readShebang(Buffer.from(line));
  assert.deepEqual(read('#!/bin/sh\nx'), { interpreter: '/bin/sh' });
  assert.deepEqual(read('#! /usr/bin/env  -S node --x \n'), {
    interpreter: '/usr/bin/env',
    argument: '-S node --x',
  });
  assert.equal(read('#!\n'), undefined);
  assert.equal(read('# !/bin/sh'), undefined);
});
