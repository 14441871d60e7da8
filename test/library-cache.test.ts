/** The local store as a cache, through the public class: configuration, kept packages, figures, removal, sharing of files. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { closeKiln, KilnError, NixBuildService, NixCacheService } from 'kiln';
import { deletable } from '../src/app/old-packages.ts';
import { addFile } from '../src/nix/add-to-store.ts';
import { nixOnPath } from '../src/nix/nix-installation.ts';
import { openGcRoots } from '../src/nix/gc-roots.ts';
import { parseNarHash } from '../src/store/nar-hash.ts';
import type { PathInfo } from '../src/store/closure.ts';
import { parseStorePath } from '../src/store/store-path.ts';
import { libraryHome } from './harness/library-home.ts';

const folder = mkdtempSync(join(tmpdir(), 'kiln-test-cache-'));
const localCache = join(folder, 'local-cache');
const home = libraryHome('', { NIX_LOCAL_CACHE_DIR: localCache });
const unique = home.replace(/.*-/, '');
after(() => rmSync(folder, { recursive: true, force: true }));

test('a package is brought into the store, kept there, and written to the local cache', async () => {
  const [cached] = await NixCacheService.cacheCommonPackages('worker-123', ['busybox']);
  assert.equal(cached?.name, 'busybox');
  assert.ok(existsSync(cached?.storePath ?? ''));
  assert.ok((cached?.size ?? 0) > 1000);
  const roots = execFileSync('nix-store', ['--query', '--roots', cached?.storePath ?? ''], {
    encoding: 'utf8',
  });
  assert.ok(roots.includes(`${home}/roots/package-worker-123@busybox`));
  assert.ok(readdirSync(localCache).includes('nix-cache-info'));
  assert.ok(readdirSync(localCache).some((name) => name.endsWith('.narinfo')));
  const [again] = await NixCacheService.cacheCommonPackages('worker-123', ['busybox', 'busybox']);
  assert.deepEqual([again?.alreadyCached, again?.storePath], [true, cached?.storePath]);
});

test('a package that the set does not have is refused before anything is built', async () => {
  await refused(
    NixCacheService.cacheCommonPackages('worker-123', ['busybox', 'no-such-package']),
    'not-found',
    /no-such-package/,
  );
  await refused(NixCacheService.cacheCommonPackages('worker-123', ['a b']), 'invalid-name', /attribute/);
  await refused(NixCacheService.cacheCommonPackages('../worker', ['busybox']), 'invalid-name', /worker/);
});

test('builds of a worker ask its cache, and one that is away costs no build', async () => {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(request.url ?? '');
    if (request.url === '/nix-cache-info')
      response.end('StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 5\n');
    else response.writeHead(404).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const cacheUrl = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
  const configured = await NixCacheService.configureCacheForWorker('worker-123', {
    cacheUrl,
    enableLocalCache: true,
    enableSharedStore: true,
  });
  assert.deepEqual(configured, {
    workerId: 'worker-123', cacheUrl, publicKeys: [], enableLocalCache: true, enableSharedStore: true,
  }); // prettier-ignore
  const build = async (text: string, workerId?: string): Promise<void> => {
    const result = await NixBuildService.buildFromNixExpression({
      serviceId: 'cache',
      nixExpression: `with import <nixpkgs> {}; runCommand "${text}" { } "echo ${unique} > $out"`,
      ...(workerId === undefined ? {} : { workerId }),
    });
    assert.equal(result.success, true, result.error);
  };
  await build('asked', 'worker-123');
  server.close();
  assert.ok(asked.includes('/nix-cache-info'), asked.join(' '));
  assert.ok(
    asked.some((url) => url.endsWith('.narinfo')),
    asked.join(' '),
  );
  await closeKiln();
  await build('away', 'worker-123');
  await build('other', 'worker-without-configuration');
});

test('what cannot be configured is refused', async () => {
  const configure = (options: object, worker = 'worker-1'): Promise<unknown> =>
    NixCacheService.configureCacheForWorker(worker, options);
  await refused(configure({ cacheUrl: 'cache.example.com' }), 'invalid-input', /https:/);
  await refused(configure({ cacheUrl: 'https://user:pass@cache.example.com' }), 'invalid-input', /netrc/);
  await refused(
    configure({ cacheUrl: 'https://a.example https://b.example' }),
    'invalid-input',
    /no address/,
  );
  await refused(configure({ publicKeys: ['cache'] }), 'invalid-input', /NAME:BASE64/);
  await refused(configure({ enableSharedStore: false }), 'unsupported', /sandbox/);
  await refused(configure({ cacheURL: 'https://a.example' }), 'invalid-input', /cacheUrl/);
  await refused(configure({}, 'no/worker'), 'invalid-name', /letters/);
});

test('the figures are those of the store', async () => {
  const stats = await NixCacheService.getCacheStatistics();
  assert.ok(stats.totalPackages > 10 && stats.cacheSizeBytes > 1_000_000);
  assert.equal(stats.cacheSizeMb, Math.round(stats.cacheSizeBytes / 10_000) / 100);
  assert.equal(stats.cachedPackages, 1);
  assert.ok(stats.misses >= 1 && stats.hitRate >= 0 && stats.hitRate <= 100);
});

test('old paths that nothing needs go; what is kept, young or needed stays', async () => {
  const nix = await nixOnPath();
  const add = async (name: string): Promise<ReturnType<typeof parseStorePath>> => {
    const file = join(folder, name);
    writeFileSync(file, `${name} ${unique}`);
    return await addFile(nix, file, name);
  };
  const [old, kept, young] = [await add('old'), await add('kept'), await add('young')];
  const roots = await openGcRoots(nix, join(folder, 'roots'));
  await roots.hold('kept', kept);
  age([old, kept]);
  // Older than anything that others could have in this store.
  assert.equal(await NixCacheService.cleanupOldPackages(9000), 1);
  assert.deepEqual([existsSync(old), existsSync(kept), existsSync(young)], [false, true, true]);
  await roots.release('kept');
  assert.equal(await NixCacheService.cleanupOldPackages(9000), 1);
  await refused(NixCacheService.cleanupOldPackages(Number.NaN), 'invalid-input', /days/);
});

test('of any dead paths, only old ones that no young one needs go, each before what it refers to', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ old: fc.boolean(), references: fc.array(fc.nat(30)) }), { maxLength: 30 }),
      (nodes) => {
        const pathOf = (index: number): PathInfo['path'] =>
          parseStorePath(`/nix/store/${String(index).padStart(32, '0')}-p`);
        // Store paths cannot refer in rings, but to themselves.
        const infos = nodes.map(({ old, references }, index) => ({
          ...EMPTY,
          path: pathOf(index),
          registrationTime: old ? 1 : 2,
          references: references.filter((reference) => reference <= index).map(pathOf),
        }));
        const order = deletable(infos, (info) => info.registrationTime === 1);
        const gone = new Set(order);
        assert.equal(gone.size, order.length);
        for (const info of infos) {
          assert.ok(!gone.has(info.path) || info.registrationTime === 1);
          for (const reference of info.references) {
            if (reference === info.path || !gone.has(reference)) continue;
            assert.ok(order.indexOf(info.path) !== -1 && order.indexOf(info.path) < order.indexOf(reference));
          }
        }
        const neededBy = (path: string): boolean =>
          infos.some(
            (info) =>
              info.path !== path && !gone.has(info.path) && info.references.some((one) => one === path),
          );
        for (const info of infos)
          assert.ok(gone.has(info.path) || info.registrationTime === 2 || neededBy(info.path));
      },
    ),
  );
});

test('equal files of a store become one', async () => {
  const store = `local?root=${join(folder, 'store')}`;
  for (const name of ['one', 'two']) {
    const file = join(folder, `${name}.txt`);
    writeFileSync(file, 'x'.repeat(200_000));
    execFileSync('nix-store', ['--store', store, '--add', file], { stdio: 'pipe' });
  }
  process.env['NIX_REMOTE'] = store;
  try {
    assert.ok((await NixCacheService.optimizeStore()) >= 190_000);
    assert.equal(await NixCacheService.optimizeStore(), 0);
  } finally {
    delete process.env['NIX_REMOTE'];
  }
});

const EMPTY: Omit<PathInfo, 'path' | 'references' | 'registrationTime'> = {
  narHash: parseNarHash(`sha256:${'0'.repeat(52)}`),
  narSize: 1,
  signatures: [],
  ultimate: false,
};

/** Says in Nix's database that these paths of the test came long ago. */
function age(paths: readonly string[]): void {
  const database = new DatabaseSync('/nix/var/nix/db/db.sqlite', { timeout: 60_000 });
  const update = database.prepare('update ValidPaths set registrationTime = 1000 where path = ?');
  for (const path of paths) update.run(path);
  database.close();
}

async function refused(work: Promise<unknown>, code: string, text: RegExp): Promise<void> {
  await assert.rejects(work, (error) => {
    assert.ok(error instanceof KilnError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match([error.message, error.where, error.hint].join('\n'), text);
    return true;
  });
}
