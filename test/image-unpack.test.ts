import assert from 'node:assert/strict';
import {
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { unpackLayer, type LayerBytes } from '../src/runtime/unpack-layer.ts';

type Row = readonly [
  name: string,
  content?: string,
  more?: { type?: 'symlink' | 'link'; linkname?: string; mode?: number },
];

async function layer(
  rows: readonly Row[],
  compression: LayerBytes['compression'] = 'none',
): Promise<LayerBytes> {
  const archive = pack();
  for (const [name, content = '', more = {}] of rows) {
    const type = more.type ?? (name.endsWith('/') ? 'directory' : 'file');
    archive.entry({ name, type, ...more, uid: 12, gid: 34 }, content);
  }
  archive.finalize();
  const tar = Buffer.concat(await Array.fromAsync(archive as unknown as AsyncIterable<Buffer>));
  const bytes = compression === 'gzip' ? gzipSync(tar) : compression === 'zstd' ? zstdCompressSync(tar) : tar;
  return { bytes: chunks(bytes), compression, name: 'test' };
}

async function* chunks(bytes: Buffer): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += 700) yield bytes.subarray(at, at + 700);
}

async function inFolder(use: (root: string, outside: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'kiln-unpack-'));
  try {
    await mkdir(join(folder, 'outside'));
    await use(join(folder, 'root'), join(folder, 'outside'));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

test('upper layers replace, whiteouts remove, opaque folders hide what lies below', async () => {
  await inFolder(async (root) => {
    await unpackLayer(
      root,
      await layer(
        [
          ['etc/'],
          ['etc/a', 'a'],
          ['etc/b', 'b'],
          ['opt/old/'],
          ['opt/old/x', 'x'],
          ['bin', '', { type: 'symlink', linkname: 'usr/bin' }],
          ['usr/bin/'],
          ['kept', 'k'],
        ],
        'gzip',
      ),
    );
    await unpackLayer(
      root,
      await layer(
        [
          ['etc/.wh.a'],
          ['etc/b', 'new', { mode: 0o4750 }],
          ['opt/old/y', 'y'],
          ['opt/old/.wh..wh..opq'],
          ['bin/tool', 't'],
          ['hard', '', { type: 'link', linkname: 'kept' }],
          ['etc/.wh..'],
        ],
        'zstd',
      ),
    );
    assert.deepEqual(await readdir(join(root, 'etc')), ['b']);
    assert.deepEqual(await readdir(join(root, 'opt/old')), ['y']);
    assert.equal(await readFile(join(root, 'etc/b'), 'utf8'), 'new');
    assert.equal(await readlink(join(root, 'bin')), 'usr/bin');
    assert.equal(await readFile(join(root, 'usr/bin/tool'), 'utf8'), 't');
    assert.equal((await stat(join(root, 'hard'))).ino, (await stat(join(root, 'kept'))).ino);
    const { mode, uid, gid } = await lstat(join(root, 'etc/b'));
    assert.equal(mode & 0o7777, 0o4750);
    if (process.getuid?.() === 0) assert.deepEqual([uid, gid], [12, 34]);
  });
});

test('nothing is written, removed or linked outside of the root', async () => {
  await inFolder(async (root, outside) => {
    await writeFile(join(outside, 'secret'), 'untouched');
    await unpackLayer(
      root,
      await layer([
        ['way', '', { type: 'symlink', linkname: outside }],
        ['up', '', { type: 'symlink', linkname: '../../../../../..' }],
        ['file', '', { type: 'symlink', linkname: join(outside, 'secret') }],
      ]),
    );
    await unpackLayer(
      root,
      await layer([
        ['way/secret', 'x'],
        ['way/.wh.secret'],
        [`up${outside}/secret`, 'x'],
        ['file', 'x'],
        ['/abs', 'x'],
      ]),
    );
    assert.equal(await readFile(join(outside, 'secret'), 'utf8'), 'untouched');
    assert.equal(await readFile(join(root, 'file'), 'utf8'), 'x');
    assert.equal(await readFile(join(root, 'abs'), 'utf8'), 'x');
    for (const bad of [
      ['../x', 'x'],
      ['a/../../x', 'x'],
    ] as const)
      await assert.rejects(unpackLayer(root, await layer([bad])), { code: 'image-failed' });
    await unpackLayer(root, await layer([['own', '', { type: 'link', linkname: 'way/secret' }]]));
    assert.equal(await readFile(join(root, 'own'), 'utf8'), 'x');
    await assert.rejects(unpackLayer(root, await layer([['.wh...']])), { code: 'image-failed' });
  });
});

test('a broken archive, an endless link and a file as a folder are errors with a name', async () => {
  await inFolder(async (root) => {
    const whole = await layer([['a', 'x'.repeat(5000)]], 'gzip');
    const half = Buffer.concat(await Array.fromAsync(whole.bytes)).subarray(0, 60);
    await assert.rejects(unpackLayer(root, { ...whole, bytes: chunks(half) }), { code: 'image-failed' });
    await assert.rejects(
      unpackLayer(
        root,
        await layer([
          ['l', '', { type: 'symlink', linkname: 'l' }],
          ['l/x', 'x'],
        ]),
      ),
      { code: 'image-failed' },
    );
    await assert.rejects(
      unpackLayer(
        root,
        await layer([
          ['f', 'x'],
          ['f/x', 'x'],
        ]),
      ),
      { code: 'image-failed' },
    );
    await mkdir(join(root, 'dir'), { recursive: true });
    await symlink('/nowhere', join(root, 'dir/link'));
    await unpackLayer(root, await layer([['dir/link/x', 'x']]));
    assert.equal(await readFile(join(root, 'nowhere/x'), 'utf8'), 'x');
  });
});
