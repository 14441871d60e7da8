import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createManifestRoots } from '../src/app/manifest-roots.ts';
import type { RepositoryName, StorePath } from '../src/base/brand.ts';
import { buildImage, type BuiltImage } from '../src/image/build-image.ts';
import { openGcRoots } from '../src/nix/gc-roots.ts';
import { nixOnPath, type NixInstallation } from '../src/nix/nix-installation.ts';
import { openStoreDatabase } from '../src/nix/open-store-database.ts';
import { runNix } from '../src/nix/run-nix.ts';
import { workFolder } from './harness/work-folder.ts';
import { startTestRegistry } from './registry-server.ts';

const repository = 'team/app' as RepositoryName;
const PULLS = 32;

describe('images whose layers are in the Nix store', () => {
  const work = workFolder();
  let nix: NixInstallation;
  let path: StorePath;
  let image: BuiltImage;
  before(async () => {
    nix = await nixOnPath();
    path = await addTree(100, 100_000);
    image = await imageOf(path);
  });
  after(() => work[Symbol.dispose]());

  async function succeed(program: string, ...args: string[]): Promise<string> {
    const result = await runNix(nix, program, args);
    assert.equal(result.exitCode, 0, result.stderr);
    return result.stdout.trim();
  }

  /** A path of this test's own, held until its end. */
  async function addTree(files: number, size: number): Promise<StorePath> {
    const tree = join(work.path, `tree-${performance.now()}`);
    mkdirSync(tree);
    for (let at = 0; at < files; at++) writeFileSync(join(tree, `file-${at}`), randomBytes(size));
    const added = (await succeed('nix-store', '--add', tree)) as StorePath;
    await succeed('nix-store', '--realise', '--add-root', `${tree}-root`, added);
    return added;
  }

  async function imageOf(root: StorePath): Promise<BuiltImage> {
    using store = openStoreDatabase(nix);
    const closure = await store.closure([root]);
    const settings = { entrypoint: ['/bin/true'] };
    return await buildImage({ closure, system: 'x86_64-linux', name: 'app', settings }, { concurrency: 1 });
  }

  test('a manifest holds the paths of its layers in the store until it is deleted', async () => {
    using store = openStoreDatabase(nix);
    const roots = await openGcRoots(nix, join(work.path, 'roots'));
    await using registry = await startTestRegistry({
      holder: createManifestRoots(
        () => Promise.resolve(roots),
        () => Promise.resolve(store),
      ),
    });
    const rootsOf = async (): Promise<string> => await succeed('nix-store', '--query', '--roots', path);
    const { manifest, config, layers } = image;
    const digest = await registry.catalog.publishImage({
      repository,
      tags: ['v1'],
      manifest,
      config,
      layers,
    });
    assert.match(await rootsOf(), /manifest-sha256_/);
    await registry.catalog.deleteManifest(repository, digest);
    assert.doesNotMatch(await rootsOf(), /manifest-sha256_/);
  });

  test('a layer whose path is gone is an error before the first byte', async () => {
    const gone = await addTree(3, 1000);
    const { manifest, config, layers } = await imageOf(gone);
    await using registry = await startTestRegistry();
    await registry.catalog.publishImage({ repository, tags: ['v1'], manifest, config, layers });
    const layer = layers.find(({ recipe }) => recipe.entries.some((entry) => entry.type === 'store-path'));
    const url = `${registry.url}/v2/${repository}/blobs/${layer?.digest}`;
    const there = await fetch(url);
    assert.equal(
      `sha256:${createHash('sha256')
        .update(await there.bytes())
        .digest('hex')}`,
      layer?.digest,
    );
    for (const link of readdirSync(work.path).filter((name) => name.endsWith('-root')))
      if (realpathSync(join(work.path, link)) === gone) rmSync(join(work.path, link));
    await succeed('nix-store', '--delete', gone);
    const answer = await fetch(url);
    assert.equal(answer.status, 404);
    assert.match(await answer.text(), /BLOB_UNKNOWN.*no longer in the store/);
  });

  test('32 pulls at once are answered right while other requests are, in bounded memory', async () => {
    const directory = join(work.path, 'registry');
    {
      await using registry = await startTestRegistry({ directory });
      const { manifest, config, layers } = image;
      await registry.catalog.publishImage({ repository, tags: ['v1'], manifest, config, layers });
    }
    const program = fileURLToPath(new URL('registry-server.ts', import.meta.url));
    const child = spawn(process.execPath, ['--liftoff-only', program, directory], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    try {
      const [url] = (await once(createInterface(child.stdout), 'line')) as [string];
      const [layer] = image.layers.toSorted((a, b) => b.size - a.size);
      const blob = `${url}/v2/${repository}/blobs/${layer?.digest}`;
      assert.ok((layer?.size ?? 0) > 9_000_000);
      const before = peakMemory(child.pid);
      let running = true;
      let answered = 0;
      const others = (async () => {
        while (running) {
          const tags = await fetch(`${url}/v2/${repository}/tags/list`);
          assert.deepEqual(await tags.json(), { name: repository, tags: ['v1'] });
          answered++;
        }
      })();
      const pulls = Array.from({ length: PULLS }, async () => {
        const hash = createHash('sha256');
        for await (const chunk of (await fetch(blob)).body ?? []) hash.update(chunk);
        return `sha256:${hash.digest('hex')}`;
      });
      const digests = await Promise.all(pulls);
      running = false;
      await others;
      assert.deepEqual([...new Set(digests)], [layer?.digest]);
      assert.ok(answered >= 3, `only ${answered} other requests were answered`);
      // The embedded database has its memory from the start; what the pulls need comes on top of it.
      const grown = peakMemory(child.pid) - before;
      assert.ok(grown < 200 * 2 ** 20, `${Math.round(grown / 2 ** 20)} MiB more than before the pulls`);
    } finally {
      const ended = once(child, 'exit');
      child.stdin.end();
      await ended;
    }
  });
});

/** Highest resident memory so far, in bytes. */
function peakMemory(pid = 0): number {
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
}
