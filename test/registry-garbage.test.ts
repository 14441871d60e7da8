import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, beforeEach, describe, test } from 'node:test';
import type { OciDigest, RepositoryName, StorePath } from '../src/base/brand.ts';
import type { PathHolder } from '../src/catalog/path-holder.ts';
import { digestOf } from '../src/oci/digest.ts';
import { encodeIndex } from '../src/oci/image-index.ts';
import { TAR_PROFILE } from '../src/oci/layer-recipe.ts';
import { encodeManifest } from '../src/oci/manifest.ts';
import { OCI_CONFIG, OCI_INDEX, OCI_LAYER_TAR, OCI_MANIFEST } from '../src/oci/media-types.ts';
import type { NarHash } from '../src/base/brand.ts';
import { startTestRegistry } from './registry-server.ts';

const repository = 'app' as RepositoryName;

/** Remembers what is held instead of making links in a Nix installation. */
function memoryHolder(): PathHolder & { readonly held: Map<OciDigest, readonly StorePath[]> } {
  const held = new Map<OciDigest, readonly StorePath[]>();
  return {
    held,
    hold: (manifest, paths) => Promise.resolve(void held.set(manifest, paths)),
    release: (manifest) => Promise.resolve(void held.delete(manifest)),
    list: () => Promise.resolve([...held.keys()]),
  };
}

describe('garbage collection', async () => {
  const holder = memoryHolder();
  const registry = await startTestRegistry({
    holder,
    graceMs: 0,
    retention: { untaggedMs: 0, newest: 0 },
    uploadLimits: { perRepository: 10, total: 10, ttlMs: 3_600_000 },
  });
  const { catalog, database } = registry;
  after(() => registry[Symbol.asyncDispose]());
  beforeEach(async () => {
    for (const image of await catalog.listImages())
      await catalog.deleteManifest(image.repository, image.digest);
    await catalog.collectGarbage();
  });

  const upload = async (bytes: Buffer): Promise<OciDigest> => {
    const digest = digestOf(bytes);
    const response = await fetch(`${registry.url}/v2/${repository}/blobs/uploads/?digest=${digest}`, {
      method: 'POST',
      body: bytes,
    });
    assert.equal(response.status, 201);
    return digest;
  };
  const pushImage = async (tag: string, bytes = randomBytes(2000)): Promise<OciDigest> => {
    const layer = await upload(bytes);
    const config = Buffer.from(`{"tag":"${tag}"}`);
    await upload(config);
    const content = encodeManifest({
      mediaType: OCI_MANIFEST,
      config: { mediaType: OCI_CONFIG, digest: digestOf(config), size: config.length },
      layers: [{ mediaType: OCI_LAYER_TAR, digest: layer, size: bytes.length }],
    });
    return (await catalog.putManifest({ repository, content, mediaType: OCI_MANIFEST, tags: [tag] })).digest;
  };
  const storedFiles = async (): Promise<number> => {
    const names = await readdir(join(registry.directory, 'blobs'), { recursive: true, withFileTypes: true });
    return names.filter((entry) => entry.isFile()).length;
  };

  test('what a tag names stays, what none names goes, and shared blobs stay as long as one image has them', async () => {
    const shared = randomBytes(3000);
    await pushImage('one', shared);
    const two = await pushImage('two', shared);
    await catalog.deleteTag(repository, 'one');
    const report = await catalog.collectGarbage();
    assert.deepEqual([report.manifests, report.blobs], [1, 1]);
    assert.ok(await catalog.findBlob(repository, digestOf(shared)));
    await catalog.deleteManifest(repository, two);
    await catalog.collectGarbage();
    assert.equal(await catalog.findBlob(repository, digestOf(shared)), undefined);
    assert.equal(await storedFiles(), 0);
  });

  test('members of an index and referrers of a kept image are kept, with the reason', async () => {
    const member = await pushImage('member');
    const image = await catalog.readManifest(repository, member);
    assert.ok(image);
    const index = encodeIndex({
      manifests: [{ mediaType: OCI_MANIFEST, digest: member, size: image.content.length }],
    });
    const top = await catalog.putManifest({
      repository,
      content: index,
      mediaType: OCI_INDEX,
      tags: ['all'],
    });
    const config = Buffer.from('{}');
    await upload(config);
    const signature = encodeManifest({
      mediaType: OCI_MANIFEST,
      artifactType: 'application/vnd.test',
      config: { mediaType: OCI_CONFIG, digest: digestOf(config), size: 2 },
      layers: [],
      subject: { mediaType: OCI_INDEX, digest: top.digest, size: index.length },
    });
    await catalog.putManifest({ repository, content: signature, mediaType: OCI_MANIFEST, tags: [] });
    await catalog.deleteTag(repository, 'member');
    const reasons = (await catalog.explainRetention(repository)).flatMap((entry) =>
      entry.reasons.map((r) => r.kind),
    );
    assert.deepEqual(reasons.toSorted(), ['child-of', 'referrer-of', 'tag']);
    assert.equal((await catalog.collectGarbage()).manifests, 0);
    await catalog.deleteTag(repository, 'all');
    assert.equal((await catalog.collectGarbage()).manifests, 3);
  });

  test('a pinned image stays without a tag until it is unpinned', async () => {
    const digest = await pushImage('deployed');
    await catalog.pin(repository, digest, 'deployment web');
    await catalog.deleteTag(repository, 'deployed');
    assert.equal((await catalog.collectGarbage()).manifests, 0);
    assert.deepEqual((await catalog.imageDetails(repository, digest))?.pins, ['deployment web']);
    await catalog.unpin(repository, digest, 'deployment web');
    assert.equal((await catalog.collectGarbage()).manifests, 1);
  });

  test('store paths are held from the manifest that names them to its deletion, also through other clients', async () => {
    const bytes = randomBytes(500);
    const path = '/nix/store/00000000000000000000000000000000-x' as StorePath;
    const digest = digestOf(bytes);
    const config = Buffer.from('{}');
    const image = {
      manifest: encodeManifest({
        mediaType: OCI_MANIFEST,
        config: { mediaType: OCI_CONFIG, digest: digestOf(config), size: 2 },
        layers: [{ mediaType: OCI_LAYER_TAR, digest, size: bytes.length }],
      }),
      config,
      layers: [
        {
          digest,
          size: bytes.length,
          recipe: {
            profile: TAR_PROFILE,
            mtime: 1,
            entries: [
              { type: 'store-path', path, narHash: `sha256:${'0'.repeat(52)}` as NarHash, narSize: 1 },
            ],
          },
        },
      ],
    } as const;
    const staged = await catalog.stageImage({ repository, ...image });
    assert.equal(await catalog.resolve(repository, 'v1'), undefined);
    assert.deepEqual(holder.held.get(staged), [path]);
    await catalog.moveTag(repository, 'v1', staged);
    // Another repository takes the same image by mounting its blobs.
    const copy = 'copy' as RepositoryName;
    for (const blob of [digest, digestOf(config)]) {
      assert.ok(await catalog.mountBlob(copy, blob, { from: repository, allowed: () => true }));
    }
    await catalog.putManifest({
      repository: copy,
      content: image.manifest,
      mediaType: OCI_MANIFEST,
      tags: ['v1'],
    });
    await catalog.deleteManifest(repository, staged);
    assert.ok(holder.held.has(staged));
    await catalog.deleteManifest(copy, staged);
    assert.ok(!holder.held.has(staged));
    const moves = await catalog.tagHistory(repository, 'v1');
    assert.deepEqual(
      moves.map((move) => [move.digest, move.previousDigest]),
      [
        [undefined, staged],
        [staged, undefined],
      ],
    );
  });

  test('files and roots that a crash left over are removed; a hidden blob that is still wanted comes back', async () => {
    const digest = digestOf('orphan');
    const file = join(registry.directory, 'blobs', 'sha256', digest.slice(7, 9), digest.slice(7));
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, 'orphan');
    holder.held.set(digest, []);
    const report = await catalog.collectGarbage();
    assert.equal(report.leftovers, 2);
    assert.equal(await storedFiles(), 0);
    await pushImage('kept');
    const [{ digest: blob } = { digest: '' as OciDigest }] = await database.query<{ digest: OciDigest }>(
      `select digest from blobs limit 1`,
    );
    await catalog.blobs.hide(blob);
    const { recoverBlobs } = await import('../src/catalog/collect-garbage.ts');
    await recoverBlobs(database, catalog.blobs);
    assert.notEqual(await catalog.blobs.size(blob), undefined);
  });

  test('pushes that run during collections lose nothing', async () => {
    let collecting = true;
    const collector = (async () => {
      while (collecting) await catalog.collectGarbage();
    })();
    const pushes = Array.from({ length: 8 }, async (_, at) => {
      // Without a grace period a blob can go before its manifest comes; then the client sends it again.
      for (let attempt = 0; ; attempt++) {
        try {
          return await pushImage(`t${at}`, Buffer.from(`layer ${at}`));
        } catch (error) {
          if (attempt > 200) throw error;
        }
      }
    });
    const digests = await Promise.all(pushes);
    collecting = false;
    await collector;
    await catalog.collectGarbage();
    for (const [at, digest] of digests.entries()) {
      assert.equal(await catalog.resolve(repository, `t${at}`), digest);
      const blob = await fetch(`${registry.url}/v2/${repository}/blobs/${digestOf(`layer ${at}`)}`);
      assert.equal(await blob.text(), `layer ${at}`);
    }
  });
});
