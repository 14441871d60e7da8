import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { before, test } from 'node:test';
import { isKilnError } from '../src/base/error.ts';
import { type NixInstallation, nixOnPath } from '../src/nix/nix-installation.ts';
import { openStoreDatabase } from '../src/nix/open-store-database.ts';
import type { StoreDatabase } from '../src/nix/store-database.ts';
import { dumpPath } from '../src/nix/store-tree.ts';
import { narHashFromBytes } from '../src/store/nar-hash.ts';
import { hashPartOf, parseStorePath } from '../src/store/store-path.ts';
import { workFolder } from './harness/work-folder.ts';

let nix: NixInstallation;
before(async () => {
  nix = await nixOnPath();
});

const EXPRESSION = `
let
  base = builtins.toFile "base" "base ";
  middle = builtins.toFile "middle" "needs \${base}";
  drv = derivation { name = "database"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ middle ]; outputs = [ "out" "doc" ]; };
in drv`;

for (const kind of ['sqlite', 'command'] as const) {
  test(`paths, closures and outputs are found (${kind})`, async () => {
    using folder = workFolder();
    const drvPath = parseStorePath(run('nix-instantiate', folder.write('default.nix', EXPRESSION)));
    using store = open(kind);
    assert.equal(store.kind, kind);
    const closure = await store.closure([drvPath]);
    assert.deepEqual(
      closure.paths.map((info) => info.path),
      run('nix-store', '--query', '--requisites', drvPath).split('\n').sort(),
    );
    const info = await store.pathInfo(drvPath);
    assert.ok(info !== undefined && info.references.length === 1);
    assert.deepEqual(
      info,
      closure.paths.find((entry) => entry.path === drvPath),
    );
    const nar = Buffer.concat(await Array.fromAsync(dumpPath(drvPath)));
    assert.equal(info.narSize, nar.length);
    assert.equal(info.narHash, narHashFromBytes(createHash('sha256').update(nar).digest()));
    const [middle] = info.references;
    assert.ok(middle !== undefined && (await store.referrers(middle)).includes(drvPath));
    assert.equal(await store.pathFromHashPart(hashPartOf(drvPath)), drvPath);
    const outputs = await store.derivationOutputs(drvPath);
    assert.deepEqual([...outputs.keys()].sort(), ['doc', 'out']);
    assert.equal(
      outputs.get('out'),
      run('nix-store', '--query', '--outputs', drvPath)
        .split('\n')
        .find((path) => path.endsWith('-database')),
    );
  });

  test(`what is not in the store is missing, not an accident (${kind})`, async () => {
    using store = open(kind);
    const absent = parseStorePath(`/nix/store/${'0'.repeat(32)}-absent`);
    assert.equal(await store.isValid(absent), false);
    assert.equal(await store.pathInfo(absent), undefined);
    for (const part of ['0'.repeat(32), '', '%', "' OR 1=1 --", '../../../../etc/passwd'.padEnd(32, 'x')]) {
      assert.equal(await store.pathFromHashPart(part), undefined);
    }
    await assert.rejects(
      store.closure([absent]),
      (error) => isKilnError(error) && error.code === 'store-path-missing',
    );
  });
}

test('an open database sees what Nix adds meanwhile, and says that something changed', async () => {
  using folder = workFolder();
  using store = open('sqlite');
  const before_ = await store.version();
  const statistics = await store.statistics();
  const path = parseStorePath(
    run('nix-store', '--add', folder.write('fresh', `${folder.path} ${process.pid}`)),
  );
  assert.ok(await store.isValid(path));
  assert.notEqual(await store.version(), before_);
  assert.ok((await store.statistics()).paths >= 1 && statistics.narSize > 0);
});

test('several thousand paths are one quick closure', async () => {
  using folder = workFolder();
  const links = 'builtins.genList (i: builtins.toFile "part-${toString i}" "${toString i}") 300';
  const root = parseStorePath(
    run(
      'nix-instantiate',
      folder.write(
        'default.nix',
        `derivation { name = "wide"; system = "x"; builder = "/x"; parts = ${links}; }`,
      ),
    ),
  );
  using store = open('sqlite');
  const closure = await store.closure([root, root]);
  assert.equal(closure.paths.length, 301);
  assert.deepEqual(
    closure.paths,
    [...closure.paths].sort((a, b) => (a.path < b.path ? -1 : 1)),
  );
});

function open(kind: 'sqlite' | 'command'): StoreDatabase {
  return openStoreDatabase(nix, kind === 'sqlite' ? {} : { stateDir: '/nonexistent' });
}

function run(command: string, ...args: readonly string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
}
