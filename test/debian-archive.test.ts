import assert from 'node:assert/strict';
import { appendFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { DEBIAN_SUITE, openDebianArchive, type DebianArchive } from '../src/debian/debian-archive.ts';
import type { DebPackage } from '../src/debian/deb-package.ts';
import { unpackDeb } from '../src/debian/unpack-deb.ts';
import { debianDirectory } from '../src/setup/kiln-home.ts';

let folder: string;
/** Shares the user's package lists; its files go into a folder of this test. */
let index: DebianArchive;
let archive: DebianArchive;
let closure: DebPackage[];

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kiln-debian-'));
  index = await openDebianArchive({ directory: debianDirectory(), suite: DEBIAN_SUITE });
  archive = await openDebianArchive({ directory: folder, suite: DEBIAN_SUITE });
  closure = await index.resolve(['hostname']);
});
after(() => rm(folder, { recursive: true, force: true }));

const find = (name: string): DebPackage =>
  closure.find((deb) => deb.name === name) ?? assert.fail(`no ${name}`);

test('a closure holds a package, its libraries and the edges between them', () => {
  assert.deepEqual(find('hostname').dependencies, ['libc6']);
  assert.ok(find('libc6').dependencies?.includes('libgcc-s1'));
  for (const deb of closure) assert.match(deb.sha256, /^[0-9a-f]{64}$/);
});

test('a closure for the other architecture is resolved on this machine', async () => {
  const architecture = index.architecture === 'amd64' ? 'arm64' : 'amd64';
  const other = await openDebianArchive({ directory: debianDirectory(), suite: DEBIAN_SUITE, architecture });
  const [base] = (await other.resolve(['hostname'])).filter((deb) => deb.name === 'hostname');
  assert.equal(base?.architecture, architecture);
});

test('a package that Debian does not have is named', async () => {
  await assert.rejects(index.resolve(['hostname', 'no-such-package-anywhere']), {
    code: 'not-found',
    message: /no-such-package-anywhere$/,
  });
  await assert.rejects(index.resolve(['--option']), { code: 'invalid-input' });
});

test('files are kept by their SHA-256, and a damaged one is fetched anew', async () => {
  const deb = find('hostname');
  const file = (await archive.fetch([deb])).get(deb.sha256) ?? '';
  const digest = async (): Promise<string> =>
    createHash('sha256')
      .update(await readFile(file))
      .digest('hex');
  assert.equal(await digest(), deb.sha256);
  const bytes = await readFile(file);
  bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
  await writeFile(file, bytes);
  await archive.fetch([deb]);
  assert.equal(await digest(), deb.sha256);
  await appendFile(file, 'more');
  const [first, second] = await Promise.all([archive.fetch([deb]), archive.fetch([deb])]);
  assert.deepEqual(first, second);
  assert.equal(await digest(), deb.sha256);
  assert.deepEqual((await readdir(join(folder, 'files'))).filter((name) => name.endsWith('.deb')).length, 1);
});

test('a file with other bytes than the lock says is refused, and nothing of it is kept', async () => {
  const wrong = { ...find('hostname'), sha256: '0'.repeat(64) };
  await assert.rejects(archive.fetch([wrong]), { code: 'dependency-fetch', message: /other bytes/ });
  assert.ok(
    !(await readdir(join(folder, 'files'))).some(
      (name) => name.startsWith('0000') || name.startsWith('incoming'),
    ),
  );
});

test('a version that has left the archive is named, with what to do', async () => {
  const gone = {
    ...find('hostname'),
    version: '0.1',
    sha256: '1'.repeat(64),
    filename: 'pool/main/h/hostname/hostname_0.1.deb',
  };
  await assert.rejects(archive.fetch([gone]), (error: Error & { code?: string; hint?: string }) => {
    assert.equal(error.code, 'dependency-fetch');
    assert.match(error.message, /no longer has hostname 0\.1/);
    assert.match(error.hint ?? '', /basis lock/);
    return true;
  });
});

test('a package is unpacked without running any of its scripts', async () => {
  const deb = find('hostname');
  const file = (await archive.fetch([deb])).get(deb.sha256) ?? '';
  await unpackDeb(file, join(folder, 'tree'));
  assert.ok((await readdir(join(folder, 'tree/usr/bin'))).includes('hostname'));
  await writeFile(join(folder, 'not.deb'), 'text');
  await assert.rejects(unpackDeb(join(folder, 'not.deb'), join(folder, 'tree2')), { code: 'corrupt' });
});
