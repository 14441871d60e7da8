import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { isKilnError } from '../src/base/error.ts';
import { addDirectory, addFile } from '../src/nix/add-to-store.ts';
import { deletePaths } from '../src/nix/collect-garbage.ts';
import { openGcRoots } from '../src/nix/gc-roots.ts';
import { type NixInstallation, nixOnPath } from '../src/nix/nix-installation.ts';
import { nameOf, parseStorePath } from '../src/store/store-path.ts';
import { type WorkFolder, workFolder } from './harness/work-folder.ts';

let nix: NixInstallation;
before(async () => {
  nix = await nixOnPath();
});

test('a file and a folder go into the store under the given name', async () => {
  using folder = workFolder();
  const file = await addFile(nix, folder.write('some file', unique(folder)), 'a-file.txt');
  assert.equal(nameOf(file), 'a-file.txt');
  mkdirSync(join(folder.path, 'tree'));
  symlinkSync('nowhere', join(folder.path, 'tree/link'));
  const tree = await addDirectory(nix, join(folder.path, 'tree'), 'a-tree');
  assert.deepEqual(readdirSync(tree), ['link']);
  await rejects(addFile(nix, join(folder.path, 'absent'), 'x'), 'not-found');
  await rejects(addFile(nix, join(folder.path, 'absent'), '../x'), 'invalid-name');
});

test('what a root holds is not deleted, and goes when it is released', async () => {
  using folder = workFolder();
  const roots = await openGcRoots(nix, join(folder.path, 'roots'));
  const path = await addFile(nix, folder.write('held', unique(folder)), 'held');
  await roots.hold('build-1', path);
  await roots.hold('build-1', path);
  assert.deepEqual(await roots.list(), new Map([['build-1', path]]));
  assert.deepEqual((await deletePaths(nix, [path])).deleted, []);
  await roots.release('build-1');
  await roots.release('build-1');
  {
    await using held = await roots.holdForNow([path]);
    assert.ok(held);
    assert.deepEqual(await roots.list(), new Map());
    assert.deepEqual((await deletePaths(nix, [path])).deleted, []);
  }
  const freed: string[] = [];
  assert.deepEqual((await deletePaths(nix, [path], { onDeleted: (gone) => freed.push(gone) })).deleted, [
    path,
  ]);
  assert.deepEqual(freed, [path]);
  assert.equal(existsSync(path), false);
  await rejects(roots.hold('build-1', path), 'store-path-missing');
});

test('one path that is in use does not keep the others', async () => {
  using folder = workFolder();
  const roots = await openGcRoots(nix, join(folder.path, 'roots'));
  const [a, b, c] = await Promise.all(
    ['a', 'b', 'c'].map((name) => addFile(nix, folder.write(name, unique(folder) + name), name)),
  );
  assert.ok(a !== undefined && b !== undefined && c !== undefined);
  await roots.hold('b', b);
  assert.deepEqual((await deletePaths(nix, [a, b, c])).deleted.toSorted(), [a, c].sort());
  assert.ok(existsSync(b));
  await roots.release('b');
  await deletePaths(nix, [b]);
});

test('what a process held that was killed is released at the next start', async () => {
  using folder = workFolder();
  const directory = join(folder.path, 'roots');
  mkdirSync(directory);
  const ended = spawnSync('true').pid;
  symlinkSync(`/nix/store/${'0'.repeat(32)}-x`, join(directory, `temporary-${ended}-a`));
  symlinkSync(`/nix/store/${'0'.repeat(32)}-x`, join(directory, `temporary-${process.pid}-a`));
  await openGcRoots(nix, directory);
  assert.deepEqual(readdirSync(directory), [`temporary-${process.pid}-a`]);
});

test('a name that would leave the folder of roots is refused', async () => {
  using folder = workFolder();
  const roots = await openGcRoots(nix, folder.path);
  const path = parseStorePath(`/nix/store/${'0'.repeat(32)}-x`);
  for (const name of ['', '..', '../x', 'a/b', '-x', '.x', 'a\0', 'n'.repeat(300)]) {
    await rejects(roots.hold(name, path), 'invalid-name');
    await rejects(roots.release(name), 'invalid-name');
  }
});

function unique(folder: WorkFolder): string {
  return `${folder.path} ${process.pid} ${performance.now()}`;
}

async function rejects(work: Promise<unknown>, code: string): Promise<void> {
  await assert.rejects(work, (error) => isKilnError(error) && error.code === code);
}
