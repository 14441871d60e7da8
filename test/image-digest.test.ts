import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildImage } from '../src/image/build-image.ts';
import { parseManifest } from '../src/oci/manifest.ts';
import { sampleStore, type SampleStore } from './harness/sample-closure.ts';

async function fixedClosure(store: SampleStore): Promise<void> {
  await store.add({
    name: 'libc-2.41',
    files: { 'lib/libc.so.6': 'library', 'lib/libc.so': '->libc.so.6', 'share/empty/': '' },
  });
  await store.add({
    name: 'bash-5.3',
    references: ['libc-2.41'],
    files: { 'bin/bash': 'x:#!/bin/true\n', 'bin/sh': '->bash' },
  });
  await store.add({ name: 'site', files: 'one file' });
  await store.add({
    name: 'app-1.0',
    references: ['bash-5.3', 'libc-2.41', 'site'],
    files: {
      'bin/app': 'x:#!/bin/sh\necho hello\n',
      [`share/${'long/'.repeat(40)}name`]: 'deep',
      'share/ünïcode': 'x',
    },
  });
}

/** Must not change: whoever verifies an image later has to come to the same bytes. A change is a new tar profile. */
const MANIFEST = 'sha256:ed6f5058327ec5605b0a25abfd7646ac6e6ed034ec74f48614402712d327fefd';

test('the digest of a fixed closure is the same on every machine', async () => {
  await using store = await sampleStore();
  await fixedClosure(store);
  const request = {
    closure: store.closure('app-1.0'),
    system: 'x86_64-linux',
    name: 'app',
    created: 1_700_000_000,
  };
  const image = await buildImage(request, { location: store.location, concurrency: 1 });
  assert.equal(image.manifestDigest, MANIFEST);
  assert.equal(parseManifest(image.manifest).digest, image.manifestDigest);
  const again = await buildImage({ ...request, previous: image }, { location: store.location });
  assert.equal(again.hashedBytes, 0);
  assert.equal(again.manifestDigest, image.manifestDigest);
});
