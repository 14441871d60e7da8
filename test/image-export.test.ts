import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { buildImage, type BuiltImage } from '../src/image/build-image.ts';
import { builtImageSource } from '../src/image/built-image-source.ts';
import { exportArchive, exportLayout } from '../src/image/export-image.ts';
import { LayerReader } from '../src/image/layer-reader.ts';
import { multiPlatformIndex } from '../src/image/multi-platform-index.ts';
import { parseManifest } from '../src/oci/manifest.ts';
import { sampleStore } from './harness/sample-closure.ts';

const run = promisify(execFile);
const REFERENCE = 'registry.example/team/app:1.0';
const hasSkopeo = await run('skopeo', ['--version']).then(
  () => true,
  () => false,
);

async function withImage(
  use: (image: BuiltImage, reader: LayerReader, folder: string) => Promise<void>,
): Promise<void> {
  await using store = await sampleStore();
  await store.add({ name: 'lib', files: { 'lib/data': Buffer.alloc(400_000, 'x') } });
  await store.add({ name: 'app', references: ['lib'], files: { 'bin/app': 'x:#!/bin/sh\n' } });
  const image = await buildImage(
    { closure: store.closure('app'), system: 'x86_64-linux', name: 'app' },
    { location: store.location, concurrency: 1 },
  );
  await using reader = new LayerReader({ location: store.location, threads: 1 });
  const folder = await mkdtemp(join(tmpdir(), 'kiln-export-'));
  try {
    await use(image, reader, folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

test(
  'skopeo reads the archive as an OCI and as a Docker archive, and the layout',
  { skip: !hasSkopeo },
  async () => {
    await withImage(async (image, reader, folder) => {
      const archive = join(folder, 'app.tar');
      const source = builtImageSource(image, reader);
      await pipeline(
        Readable.from(exportArchive(source, { reference: REFERENCE })),
        createWriteStream(archive),
      );
      await exportLayout(source, join(folder, 'layout'), { reference: REFERENCE });
      await exportLayout(source, join(folder, 'layout'), { reference: REFERENCE });
      for (const from of [`oci-archive:${archive}`, `oci:${folder}/layout:1.0`]) {
        const { stdout } = await run('skopeo', ['inspect', from]);
        assert.equal(JSON.parse(stdout).Digest, image.manifestDigest);
      }
      const { stdout } = await run('skopeo', [
        'inspect',
        '--config',
        `docker-archive:${archive}:${REFERENCE}`,
      ]);
      assert.deepEqual(JSON.parse(stdout), JSON.parse(image.config.toString()));
      await run('skopeo', ['copy', '-q', `docker-archive:${archive}`, `dir:${folder}/copy`]);
    });
  },
);

test('a blob with other bytes breaks the export off and leaves no file', async () => {
  await withImage(async (image, reader, folder) => {
    const source = builtImageSource(image, reader);
    const broken = {
      ...source,
      async *openBlob(...[blob, start]: Parameters<typeof source.openBlob>) {
        for await (const chunk of source.openBlob(blob, start)) yield Buffer.alloc(chunk.length, 1);
      },
    };
    await assert.rejects(exportLayout(broken, join(folder, 'layout'), { reference: REFERENCE }), {
      code: 'hash-mismatch',
    });
    const { stdout } = await run('find', [folder, '-name', '*.part', '-o', '-name', 'index.json']);
    assert.equal(stdout, '');
  });
});

test('an index lists each platform once, in whatever order the images come', async () => {
  await withImage(async (image) => {
    const other = {
      manifest: Buffer.from('other'),
      config: Buffer.from(image.config.toString().replace('amd64', 'arm64')),
    };
    const { index, digest } = multiPlatformIndex([image, other]);
    assert.equal(multiPlatformIndex([other, image]).digest, digest);
    const { content } = parseManifest(index);
    assert.equal(content.kind === 'index' && content.manifests[0]?.platform?.architecture, 'amd64');
    assert.throws(() => multiPlatformIndex([image, image]), { code: 'image-failed' });
  });
});
