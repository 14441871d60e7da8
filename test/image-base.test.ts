/** Images on top of others that come from another registry. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import type { ImageDetails } from '../src/api/kiln-api.ts';
import { nixOnPath } from '../src/nix/nix-installation.ts';
import { buildExpression, kilnHome, nixString, runKiln } from './harness/kiln-cli.ts';
import { startServer, type KilnServer } from './harness/kiln-server.ts';
import { pushImageByHand } from './harness/pushed-image.ts';
import { sourceContext } from './harness/source-context.ts';
import { startTestRegistry, type TestRegistry } from './registry-server.ts';

const home = kilnHome();
let remote: TestRegistry | undefined;
let server: KilnServer;
let busybox: Buffer;

before(async () => {
  [remote, server] = await Promise.all([startTestRegistry(), startServer(home)]);
  const bin = await sourceContext(home.path, await nixOnPath()).nix.programFolder('busybox');
  busybox = await readFile(`${bin}/busybox`);
});

after(async () => {
  await remote?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
  home[Symbol.dispose]();
});

/** Ends well only where the base's files are there and what its second layer took away is not. */
const SCRIPT = [
  'set -e',
  '[ "$(/base/bin/busybox cat /etc/motd)" = "second layer" ]',
  '[ ! -e /etc/removed ]',
  '[ "$FROM_BASE" = yes ]',
  'echo x > /home/app/file',
].join('\n');
test('a base image is pulled, lies below with its own bytes, and the image on it starts', async () => {
  assert.ok(remote);
  const env = { KILN_URL: server.url };
  const digest = await pushImageByHand(remote.url, 'team/base', '1', [
    [
      { name: 'base/' },
      { name: 'base/bin/' },
      { name: 'base/bin/busybox', content: busybox, mode: 0o755 },
      { name: 'base/bin/sh', type: 'symlink', linkname: 'busybox' },
      { name: 'etc/' },
      { name: 'etc/motd', content: 'first layer' },
      { name: 'etc/removed', content: 'x' },
    ],
    [{ name: 'etc/motd', content: 'second layer' }, { name: 'etc/.wh.removed' }],
  ]);
  const expression = `with import <nixpkgs> { }; runCommand "on-base" { } ''
    mkdir -p $out/bin
    cp \${builtins.toFile "script" ${nixString(`#!/base/bin/sh\n${SCRIPT}\n`)}} $out/bin/on-base
    chmod +x $out/bin/on-base
  ''`;
  const base = `${remote.host}/team/base:1`;
  const first = await buildExpression(home, expression, ['--base', base], { env });
  assert.equal(first.build.status, 'success', JSON.stringify(first.build.reason));
  assert.deepEqual(
    first.build.startChecks?.map((check) => check.passed),
    [true, true],
  );

  const shown = await runKiln(home, ['image', 'on-base', '--json'], { env });
  const image = JSON.parse(shown.stdout) as ImageDetails;
  const { Env = [], Labels = {} } = image.config?.config ?? {};
  assert.ok(Env.includes('FROM_BASE=yes'));
  assert.equal(Labels['base'], 'label');
  assert.equal(Labels['org.opencontainers.image.base.digest'], digest);
  assert.equal(Labels['org.opencontainers.image.base.name'], base);
  const copied = await remote.catalog.readManifest('team/base' as never, '1');
  const layers = (JSON.parse(copied?.content.toString() ?? '{}') as { layers: { digest: string }[] }).layers;
  assert.deepEqual(
    image.layers.slice(0, 2).map((layer) => layer.digest),
    layers.map((layer) => layer.digest),
  );

  // The registry of the base is gone: the copy of last time serves, and the image is the same.
  await remote[Symbol.asyncDispose]();
  remote = undefined;
  const second = await buildExpression(home, expression, ['--base', base], { env });
  assert.equal(second.build.image?.digest, first.build.image?.digest, JSON.stringify(second.build.reason));
  assert.match(server.log(), /cannot be reached; the base image of last time is taken/);
  const missing = await buildExpression(home, expression, ['--base', 'nothing/here:1'], { env });
  assert.equal(missing.build.reason?.code, 'not-found');
  assert.match(missing.build.reason?.message ?? '', /no base image nothing\/here:1/);
});
