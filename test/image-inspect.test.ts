/** Looking at images, comparing and exporting them, and what becomes of them when the store changes underneath. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import type { ImageDifference } from '../src/api/image-api.ts';
import type { ImageDetails } from '../src/api/kiln-api.ts';
import { packageName } from '../src/image/inspect-image.ts';
import type { BuildView } from '../src/pipeline/build-view.ts';
import { useDockerEngine } from '../scripts/docker-engine.ts';
import { buildExpression, kilnHome, parseError, runKiln, type CliResult } from './harness/kiln-cli.ts';
import { startServer, type KilnServer } from './harness/kiln-server.ts';
import { samplePath } from './harness/sample-closure.ts';

const run = promisify(execFile);
const home = kilnHome();
const marker = randomUUID();
let server: KilnServer;
let first: BuildView;
let second: BuildView;

before(async () => {
  server = await startServer(home);
  first = await build('1', 'PORT=1');
  second = await build('2', 'PORT=2');
});

after(async () => {
  await server?.[Symbol.asyncDispose]();
  home[Symbol.dispose]();
});

const kiln = (...args: string[]): Promise<CliResult> =>
  runKiln(home, args, { env: { KILN_URL: server.url } });

/** A program over a library of 2 MiB that never changes, from the sandbox's own shell; it prints the version. */
async function build(version: string, variable: string): Promise<BuildView> {
  const expression = `
    let make = name: script: derivation { inherit name; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" script ]; };
        library = make "payload-1.0" "x=0123456789abcdef; for i in 1 2 3 4 5 6 7 8 9 a b c d e f g h; do x=$x$x; done; echo $x > $out";
    in with import <nixpkgs> { }; writeShellApplication {
      name = "app-${version}"; text = "echo ${version} ${marker} \${library}";
      passthru.image.labels.version = "${version}";
    }`;
  const { build: built } = await buildExpression(
    home,
    expression,
    ['--name', 'app', '--tag', `v${version}`, '-e', variable],
    {
      env: { KILN_URL: server.url },
    },
  );
  assert.equal(built.status, 'success', JSON.stringify(built.reason));
  return built;
}

test('an image shows what is new, what keeps each large path, its packages and checks', async () => {
  const image = JSON.parse((await kiln('image', 'app:v2', '--json')).stdout) as ImageDetails;
  assert.equal(image.previous?.digest, first.image?.digest);
  assert.deepEqual(
    image.layers.filter((layer) => layer.isNew).map((layer) => layer.kind),
    ['store-paths'],
  );
  assert.ok(image.newBytes < 20_000, `${image.newBytes}`);
  const payload = image.paths.find((path) => path.path.endsWith('-payload-1.0'));
  assert.ok(payload !== undefined && payload.size > 2 ** 20 && !payload.isNew);
  assert.deepEqual(
    payload.why.map((path) => path.slice(44)),
    ['app-2', 'payload-1.0'],
  );
  assert.deepEqual(
    image.packages
      .filter(({ name }) => name === 'payload')
      .map(({ versions, paths }) => [versions, paths.length]),
    [[['1.0'], 1]],
  );
  assert.equal(image.plan?.kind, 'fresh');
  assert.deepEqual(
    image.startChecks?.map((check) => check.profile),
    ['default', 'strict'],
  );
  const shown = (await kiln('image', 'app:v2')).stdout;
  assert.match(shown, /app-2 → payload-1\.0/);
  assert.match(shown, /new since sha256:/);
  assert.match(shown, /✓ default profile: exit code 0/);
});

test('two images are compared by packages, configuration and layers', async () => {
  const difference = JSON.parse(
    (await kiln('image', 'diff', 'app:v1', 'app:v2', '--json')).stdout,
  ) as ImageDifference;
  assert.deepEqual(
    difference.packages.map(({ name, change, versions }) => [name, change, versions.from, versions.to]),
    [['app', 'changed', ['1'], ['2']]],
  );
  const keys = difference.config.map(({ key }) => key);
  assert.deepEqual(keys, ['Entrypoint', 'Env.PATH', 'Env.PORT', 'Labels.version']);
  assert.equal(difference.layers.added, 1);
  assert.ok(difference.layers.sharedBytes > 2 ** 20);
  assert.match((await kiln('image', 'diff', 'app:v1', 'app:v2')).stdout, /~ +app +1 +2/);
  assert.equal(parseError(await kiln('image', 'diff', 'app:v1', 'app:v9', '--json')).code, 'not-found');
});

test('packages are named without version and output', () => {
  const name = (text: string): (string | undefined)[] => {
    const found = packageName(samplePath(text));
    return [found.name, found.version];
  };
  assert.deepEqual(name('openssl-3.0.14-bin'), ['openssl', '3.0.14']);
  assert.deepEqual(name('gcc-13.2.0-lib'), ['gcc', '13.2.0']);
  assert.deepEqual(name('glibc-2.39-52'), ['glibc', '2.39-52']);
  assert.deepEqual(name('source'), ['source', undefined]);
  assert.deepEqual(name('python3.12-requests-2.31'), ['python3.12-requests', '2.31']);
});

test('an exported image is read by skopeo as archive and as layout', async (t) => {
  if (!(await works('skopeo', ['--version']))) return t.skip('skopeo is not installed');
  const archive = join(home.path, 'app.tar');
  const folder = join(home.path, 'layout');
  assert.equal((await kiln('image', 'app:v2', '--export', archive)).exitCode, 0);
  assert.equal((await kiln('image', 'app:v2', '--export', folder, '--format', 'oci-dir')).exitCode, 0);
  for (const from of [`oci-archive:${archive}`, `oci:${folder}:v2`]) {
    const { stdout } = await run('skopeo', ['inspect', from]);
    assert.equal((JSON.parse(stdout) as { Digest: string }).Digest, second.image?.digest, from);
  }
  assert.equal(parseError(await kiln('image', 'no-such', '--export', archive, '--json')).code, 'not-found');
});

test('docker load takes an exported image with all its layers', async (t) => {
  await using engine = await useDockerEngine({ env: process.env });
  if (engine.missing !== undefined) return t.skip(engine.missing);
  const archive = join(home.path, 'docker.tar');
  assert.equal((await kiln('image', 'app:v2', '--export', archive, '--format', 'docker')).exitCode, 0);
  const env = { ...process.env, ...engine.env };
  const { stdout } = await run('docker', ['load', '--input', archive], { env });
  const reference = /Loaded image: (\S+)/.exec(stdout)?.[1] ?? '';
  assert.match(reference, /\/app:v2$/);
  const inspected = await run(
    'docker',
    ['image', 'inspect', '--format', '{{json .RootFS.Layers}}', reference],
    { env },
  );
  const image = JSON.parse((await kiln('image', 'app:v2', '--json')).stdout) as ImageDetails;
  assert.deepEqual(JSON.parse(inspected.stdout), image.config?.diffIds);
  await run('docker', ['image', 'rm', '--force', reference], { env });
});

test('podman load takes an exported image', async (t) => {
  if (!(await works('podman', ['--version']))) return t.skip('podman is not installed');
  const archive = join(home.path, 'podman.tar');
  assert.equal((await kiln('image', 'app:v2', '--export', archive)).exitCode, 0);
  const places = [
    '--root',
    join(home.path, 'podman'),
    '--runroot',
    join(home.path, 'podman-run'),
    '--storage-driver',
    'vfs',
  ];
  const loaded = await run('podman', [...places, 'load', '--input', archive]);
  assert.match(loaded.stdout, /\/app:v2/);
});

test('images of several platforms get one name, each platform once', async () => {
  const made = await kiln('image', 'index', 'several:1', 'app:v2', '--json');
  const { digest } = JSON.parse(made.stdout) as { digest: string };
  const pulled = await fetch(`${server.url}/v2/several/manifests/1`, { headers: { accept: '*/*' } });
  assert.equal(pulled.headers.get('docker-content-digest'), digest);
  const index = (await pulled.json()) as { manifests: { digest: string; platform: { os: string } }[] };
  assert.equal(index.manifests[0]?.digest, second.image?.digest);
  const member = await fetch(`${server.url}/v2/several/manifests/${index.manifests[0]?.digest}`);
  assert.equal(member.status, 200);
  const twice = parseError(await kiln('image', 'index', 'several:2', 'app:v1', 'app:v2', '--json'));
  assert.match(twice.message, /Two images are for linux\//);
  const shown = await kiln('image', 'several:1');
  assert.match(shown.stdout, /linux\/(amd64|arm64) +sha256:/);
  assert.equal((await kiln('image', 'several:1', '--export', '-', '--format', 'docker')).exitCode, 1);
});

test('a store path that was moved away is an error before the first byte, and right again when it is back', async () => {
  const [path = ''] = second.outPaths;
  const layer = second.image?.layers.find((one) => one.paths.includes(path));
  const url = `${server.url}/v2/app/blobs/${layer?.digest}`;
  await rename(path, `${path}.moved`);
  try {
    const answer = await fetch(url);
    const body = (await answer.json()) as { errors: { code: string; message: string }[] };
    assert.ok(answer.status >= 400, `${answer.status}`);
    assert.match(body.errors[0]?.message ?? '', /no longer in the store/);
    const exported = await kiln('image', 'app:v2', '--export', join(home.path, 'broken.tar'), '--json');
    assert.notEqual(exported.exitCode, 0);
  } finally {
    await rename(`${path}.moved`, path);
  }
  const bytes = await (await fetch(url)).arrayBuffer();
  assert.equal(bytes.byteLength, layer?.size);
});

async function works(program: string, args: readonly string[]): Promise<boolean> {
  return await run(program, args).then(
    () => true,
    () => false,
  );
}
