import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { test } from 'node:test';
import { buildImage } from '../src/image/build-image.ts';
import { onEachDatabase } from './harness/each-database.ts';
import { sampleStore } from './harness/sample-closure.ts';

onEachDatabase('digests of layers are remembered', (under) => {
  test('a second build reads no byte; one changed path reads its own layer', async () => {
    await using store = await sampleStore();
    await store.add({ name: 'lib', files: { data: Buffer.alloc(3_000_000, 'x') } });
    await store.add({
      name: 'app',
      references: ['lib'],
      files: { 'bin/app': 'x:#!/bin/sh\n', data: Buffer.alloc(2_000_000) },
    });
    const context = { location: store.location, db: under.database, concurrency: 1 };
    const request = { system: 'x86_64-linux', name: 'app', closure: store.closure('app') };
    const progress: number[] = [];
    const first = await buildImage(request, {
      ...context,
      onProgress: (done) => progress.push(done.hashedBytes),
    });
    assert.equal(first.reusedLayers, 0);
    assert.equal(progress.at(-1), first.hashedBytes);
    const second = await buildImage(request, context);
    assert.deepEqual([second.hashedBytes, second.reusedLayers], [0, first.layers.length]);
    assert.equal(second.manifestDigest, first.manifestDigest);

    await store.add({
      name: 'app',
      revision: 2,
      references: ['lib'],
      files: { 'bin/app': 'x:#!/bin/sh\n', data: Buffer.alloc(2_000_000, 1) },
    });
    // What was hashed before is not even looked at.
    await rm(`${store.physicalRoot}${store.pathOf('lib')}/data`);
    const third = await buildImage({ ...request, closure: store.closure('app'), previous: first }, context);
    const kept = new Set(first.layers.map((layer) => layer.digest));
    assert.equal(third.layers.filter((layer) => !kept.has(layer.digest)).length, 1);
    assert.ok(third.hashedBytes > 2_000_000 && third.hashedBytes < 2_100_000);
  });
});
