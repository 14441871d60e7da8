import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { isKilnError } from '../src/base/error.ts';
import { dumpPath } from '../src/nix/store-tree.ts';
import {
  createListing,
  findInListing,
  formatListing,
  type ListingNode,
  narSizeOf,
  parseListing,
} from '../src/store/nar-listing.ts';
import { createNarReader, type NarEvent, readNar } from '../src/store/nar-reader.ts';
import { narDirectory, narFile, type NarNode, writeNar } from '../src/store/nar-writer.ts';
import { workFolder } from './harness/work-folder.ts';

test('a folder gives the bytes that nix-store --dump gives', async () => {
  using folder = workFolder();
  const root = join(folder.path, 'tree');
  mkdirSync(join(root, 'sub/empty'), { recursive: true });
  writeFileSync(join(root, 'a.txt'), 'twelve bytes');
  writeFileSync(join(root, 'a'), '');
  writeFileSync(join(root, 'Z'), Buffer.alloc(300_001, 7));
  writeFileSync(join(root, 'run'), '#!/bin/sh\n');
  chmodSync(join(root, 'run'), 0o755);
  symlinkSync('../nowhere', join(root, 'sub/link'));
  writeFileSync(
    Buffer.concat([Buffer.from(`${root}/`), Buffer.from([0xff, 0x41])]),
    'a name that is not UTF-8',
  );
  writeFileSync(join(root, '\u{1f600}'), 'above the basic plane: byte order differs from UTF-16 order');
  writeFileSync(join(root, '\uffff'), '');
  for (const path of [root, join(root, 'run'), join(root, 'sub/link')]) {
    assert.ok((await collect(dumpPath(path))).equals(dumpByNix(path)), path);
  }
});

test('a tree is read back as it was written, in whatever chunks it comes', async () => {
  await fc.assert(
    fc.asyncProperty(trees(), fc.integer({ min: 1, max: 97 }), async (tree, chunkSize) => {
      const nar = await collect(writeNar(tree));
      const listing = createListing();
      const contents: Buffer[] = [];
      const size = await readNar(chunks(nar, chunkSize), (event) => {
        listing.add(event);
        if (event.type === 'contents') contents.push(Buffer.from(event.bytes));
      });
      assert.equal(size, nar.length);
      const again = await collect(writeNar(fromListing(listing.root(), nar)));
      assert.ok(again.equals(nar));
      assert.equal(narSizeOf(listing.root()), nar.length);
      assert.deepEqual(parseListing(formatListing(listing.root())), listing.root());
      assert.equal(Buffer.concat(contents).length, totalSize(listing.root()));
    }),
    { numRuns: 60 },
  );
});

test('a listing says where the contents of a file stand in the archive', async () => {
  const nar = await collect(
    writeNar(narDirectory({ bin: narDirectory({ hello: narFile(Buffer.from('hello there'), true) }) })),
  );
  const listing = createListing();
  await readNar([nar], (event) => listing.add(event));
  const file = findInListing(listing.root(), 'bin/hello');
  assert.ok(file?.type === 'regular' && file.executable && file.narOffset !== undefined);
  assert.equal(nar.subarray(file.narOffset, file.narOffset + file.size).toString(), 'hello there');
  assert.equal(findInListing(listing.root(), 'bin/../bin/hello'), undefined);
  assert.match(
    formatListing(listing.root()),
    /^\{"version":1,"root":\{"type":"directory","entries":\{"bin":/,
  );
});

const magic = text('nix-archive-1');
const file = ['(', 'type', 'regular', 'contents', 'x', ')'];
const entry = (name: string, node: readonly string[] = file): string[] => [
  'entry',
  '(',
  'name',
  name,
  'node',
  ...node,
  ')',
];
const directory = (...entries: readonly string[][]): string[] => [
  '(',
  'type',
  'directory',
  ...entries.flat(),
  ')',
];

const BAD: Readonly<Record<string, readonly [bytes: Buffer, reason: RegExp]>> = {
  'an entry named dot': [words(...directory(entry('.'))), /name is `\.`/],
  'an entry named dot dot': [words(...directory(entry('..'))), /name is `\.\.`/],
  'an entry with a slash': [words(...directory(entry('a/b'))), /slash/],
  'an entry with a NUL byte': [words(...directory(entry('a\0b'))), /NUL/],
  'an entry without a name': [words(...directory(entry(''))), /empty name/],
  'a name of 256 bytes': [words(...directory(entry('n'.repeat(256)))), /longer than 255/],
  'entries out of order': [words(...directory(entry('b'), entry('a'))), /not sorted/],
  'an entry twice': [words(...directory(entry('a'), entry('a'))), /twice/],
  'an executable mark after the contents': [
    words('(', 'type', 'regular', 'contents', 'x', 'executable', '', ')'),
    /stands where "\)" is expected/,
  ],
  'an executable mark with a value': [
    words('(', 'type', 'regular', 'executable', 'y', 'contents', 'x', ')'),
    /mark has a value/,
  ],
  'a file without contents': [words('(', 'type', 'regular', ')'), /contents are expected/],
  'a link without a target': [words('(', 'type', 'symlink', 'target', '', ')'), /no target/],
  'a link target of 4096 bytes': [
    words('(', 'type', 'symlink', 'target', 't'.repeat(4096), ')'),
    /longer than 4095/,
  ],
  'an unknown type of file': [words('(', 'type', 'fifo', ')'), /no type of file/],
  'a tag of 33 bytes': [words('('.repeat(33)), /tag is longer than 32/],
  'another magic': [text('nix-archive-2'), /nix-archive-1/],
  'nothing at all': [Buffer.alloc(0), /cut off/],
  'a cut-off archive': [words(...file).subarray(0, -9), /cut off/],
  'bytes after the end': [Buffer.concat([words(...file), Buffer.alloc(1)]), /follow its end/],
  'padding that is not zero': [nonZeroPadding(), /padding is not zero/],
  'a length beyond all reason': [Buffer.concat([magic, Buffer.alloc(8, 0xff)]), /beyond all reason/],
  'nesting of 66 directories': [words(...nested(66)), /nested deeper than 64/],
};

for (const [what, [bytes, reason]] of Object.entries(BAD)) {
  test(`an archive with ${what} is refused, in one piece and byte by byte`, async () => {
    for (const size of [bytes.length + 1, 1]) {
      await assert.rejects(
        readNar(chunks(bytes, size), () => undefined),
        (error) => {
          assert.ok(isKilnError(error) && error.code === 'invalid-input');
          assert.match(error.message, reason);
          return true;
        },
      );
    }
  });
}

test('Nix refuses the same archives', () => {
  using folder = workFolder();
  for (const [index, [what, [bytes]]] of Object.entries(BAD).entries()) {
    // Nix leaves what follows the end to its caller, and its limits came after some of the versions in use.
    if (/after the end|nesting|256 bytes|4096|33 bytes|mark with a value|without a target/.test(what))
      continue;
    assert.throws(() => restoreByNix(bytes, join(folder.path, `out-${index}`)), what);
  }
});

test('an archive that is larger than its record says is refused before it is read', async () => {
  const nar = await collect(writeNar(narFile(Buffer.alloc(1000))));
  await assert.rejects(
    readNar([nar], () => undefined, { maxSize: nar.length - 1 }),
    /larger than/,
  );
  assert.equal(await readNar([nar], () => undefined, { maxSize: nar.length }), nar.length);
});

test('hostile bytes are refused without a crash', async () => {
  const valid = await collect(
    writeNar(narDirectory({ a: narFile(Buffer.from('abc')), b: narDirectory({}) })),
  );
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      (changes) => {
        const bytes = Buffer.from(valid);
        for (const [offset, value] of changes) bytes[offset] = value;
        const events: NarEvent[] = [];
        const reader = createNarReader((event) => events.push(event));
        try {
          reader.write(bytes);
          reader.end();
        } catch (error) {
          assert.ok(isKilnError(error), String(error));
        }
      },
    ),
  );
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (json) => {
      try {
        parseListing(json);
      } catch (error) {
        assert.ok(isKilnError(error), String(error));
      }
    }),
  );
});

test('a file that changes while it is read ends the stream with an error', async () => {
  const node: NarNode = { type: 'regular', executable: false, size: 10, contents: () => [Buffer.alloc(9)] };
  await assert.rejects(collect(writeNar(node)), /another size/);
  await assert.rejects(collect(writeNar({ ...node, contents: () => [Buffer.alloc(11)] })), /another size/);
  await assert.rejects(collect(writeNar(narDirectory({ 'a/b': narFile(Buffer.alloc(0)) }))), /slash/);
});

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes.length));
  return Buffer.concat([length, bytes, Buffer.alloc((8 - (bytes.length % 8)) % 8)]);
}

function words(...values: readonly string[]): Buffer {
  return Buffer.concat([magic, ...values.map(text)]);
}

function nested(depth: number): string[] {
  return depth === 0 ? directory() : directory(entry('d', nested(depth - 1)));
}

function nonZeroPadding(): Buffer {
  const bytes = words(...file);
  bytes[magic.length - 1] = 1;
  return bytes;
}

function dumpByNix(path: string): Buffer {
  return execFileSync('nix-store', ['--dump', path], { maxBuffer: 2 ** 26 });
}

function restoreByNix(bytes: Buffer, path: string): void {
  execFileSync('nix-store', ['--restore', path], { input: bytes, stdio: ['pipe', 'ignore', 'ignore'] });
}

async function collect(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(source));
}

function* chunks(bytes: Buffer, size: number): Generator<Buffer> {
  for (let start = 0; start < bytes.length; start += size) yield bytes.subarray(start, start + size);
}

function trees(): fc.Arbitrary<NarNode> {
  const names = fc
    .string({ minLength: 1, maxLength: 8, unit: 'grapheme' })
    .filter((name) => !/[/\0]|^\.\.?$/.test(name) && name.isWellFormed());
  const files = fc
    .tuple(fc.uint8Array({ maxLength: 40 }), fc.boolean())
    .map(([bytes, executable]) => narFile(bytes, executable));
  const links = names.map((target): NarNode => ({ type: 'symlink', target: Buffer.from(target) }));
  return fc.letrec<{ tree: NarNode }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      files,
      links,
      fc.dictionary(names, tie('tree'), { maxKeys: 5 }).map(narDirectory),
    ),
  })).tree;
}

function fromListing(node: ListingNode, nar: Buffer): NarNode {
  if (node.type === 'regular') {
    const start = node.narOffset ?? 0;
    return narFile(nar.subarray(start, start + node.size), node.executable);
  }
  if (node.type === 'symlink') return { type: 'symlink', target: Buffer.from(node.target) };
  const entries = [...node.entries].map(([name, child]) => ({
    name: Buffer.from(name),
    node: () => fromListing(child, nar),
  }));
  return { type: 'directory', entries: () => entries };
}

function totalSize(node: ListingNode): number {
  if (node.type === 'regular') return node.size;
  return node.type === 'symlink'
    ? 0
    : [...node.entries.values()].reduce((sum, child) => sum + totalSize(child), 0);
}
