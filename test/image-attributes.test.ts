import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buildImage } from '../src/image/build-image.ts';
import { LayerReader } from '../src/image/layer-reader.ts';
import { digestOf } from '../src/oci/digest.ts';
import { filePattern } from '../src/oci/file-pattern.ts';
import { recordPlan } from '../src/oci/layer-plan.ts';
import { sampleStore } from './harness/sample-closure.ts';

const run = promisify(execFile);

test('patterns cross folders with two stars only', () => {
  const cases: readonly [string, string, boolean][] = [
    ['share/*.html', 'share/a.html', true],
    ['share/*.html', 'share/x/a.html', false],
    ['share/**', 'share/x/a.html', true],
    ['**/*.html', 'a.html', true],
    ['**/*.html', 'x/y/a.html', true],
    ['**/*.html', 'x/y/a.htm', false],
    ['a+b(c)?.txt', 'a+b(c)d.txt', true],
    ['.', 'x', false],
  ];
  for (const [pattern, path, expected] of cases)
    assert.equal(filePattern(pattern).test(path), expected, `${pattern} ${path}`);
});

test('times and modes of chosen files are in the archive, and other layers stay as they are', async () => {
  await using store = await sampleStore();
  await store.add({ name: 'lib', files: { 'lib/data': 'data' } });
  await store.add({
    name: 'app',
    references: ['lib'],
    files: { 'bin/app': 'x:#!/bin/sh\n', 'share/www/index.html': 'hello', 'share/www/ü.html': 'hello' },
  });
  const closure = store.closure('app');
  const plan = recordPlan([[store.pathOf('lib')], [store.pathOf('app')]]);
  const request = { closure, plan, system: 'x86_64-linux', name: 'app' };
  const context = { location: store.location, concurrency: 1 };
  const plain = await buildImage({ ...request, settings: { files: { '/etc/app.conf': 'x' } } }, context);
  const changed = await buildImage(
    {
      ...request,
      settings: {
        files: { '/etc/app.conf': 'x' },
        mtime: { 'share/www/**': 1_700_000_000, '/etc/*.conf': 1_700_000_001 },
        modes: { 'bin/*': '4755', '/etc/app.conf': '0600' },
      },
    },
    context,
  );
  assert.equal(changed.layers[0]?.digest, plain.layers[0]?.digest);
  assert.notEqual(changed.layers[1]?.digest, plain.layers[1]?.digest);
  assert.deepEqual(
    changed.findings.filter((finding) => finding.code === 'set-user-id').map((finding) => finding.path),
    ['bin/*'],
  );

  await using reader = new LayerReader({ location: store.location, threads: 1 });
  let listing = '';
  for (const layer of changed.layers.slice(1)) {
    const bytes = Buffer.concat(await Array.fromAsync(reader.read(layer.recipe)));
    assert.equal(digestOf(bytes), layer.digest);
    const file = join(store.physicalRoot, 'layer.tar');
    await writeFile(file, bytes);
    listing += (await run('tar', ['-tvf', file, '--full-time', '--utc'])).stdout;
    // A range in the middle reads through the same table.
    const part = Buffer.concat(await Array.fromAsync(reader.read(layer.recipe, { start: 700, end: 2100 })));
    assert.deepEqual(part, bytes.subarray(700, 2100));
  }
  assert.match(listing, /^-rwsr-xr-x .* 1970-01-01 00:00:01 .*bin\/app$/m);
  assert.match(listing, /^-r--r--r-- .* 2023-11-14 22:13:20 .*share\/www\/index\.html$/m);
  assert.equal(listing.match(/2023-11-14 22:13:20/g)?.length, 2);
  assert.match(listing, /^-rw------- .* 2023-11-14 22:13:21 etc\/app\.conf$/m);
});

test('the shell can be left out', async () => {
  await using store = await sampleStore();
  await store.add({ name: 'bash-5', files: { 'bin/sh': 'x:shell' } });
  await store.add({ name: 'app', references: ['bash-5'], files: { 'bin/app': 'x:#!/bin/sh\n' } });
  const request = { closure: store.closure('app'), system: 'x86_64-linux', name: 'app' };
  const links = async (shell?: boolean): Promise<boolean> => {
    const settings = shell === undefined ? {} : { shell };
    const image = await buildImage({ ...request, settings }, { location: store.location, concurrency: 1 });
    return image.layers.some((layer) => layer.recipe.entries.some((entry) => entry.path === '/bin/sh'));
  };
  assert.equal(await links(), true);
  assert.equal(await links(false), false);
});
