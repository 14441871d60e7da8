import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { OciDigest, RepositoryName } from '../src/base/brand.ts';
import { runProcess } from '../src/process/run-process.ts';
import { findProgram } from '../src/setup/find-program.ts';
import { literalImage } from './harness/literal-image.ts';
import { startTestRegistry, type TestRegistry } from './registry-server.ts';

const repository = 'made/here' as RepositoryName;

async function succeed(program: string, ...args: string[]): Promise<string> {
  const result = await runProcess(program, args, { deadlineMs: 120_000 });
  assert.equal(result.exitCode, 0, `${program} ${args.join(' ')}\n${result.stderr}`);
  return result.stdout.trim();
}

async function why(program: string, ...probe: string[]): Promise<string | false> {
  if ((await findProgram(program)) === undefined) return `${program} is not installed`;
  const result = await runProcess(program, probe, { deadlineMs: 30_000 }).catch(() => undefined);
  return result?.exitCode === 0
    ? false
    : `${program} does not work here: ${result?.stderr.trim().split('\n')[0]}`;
}

const folder = mkdtempSync(join(tmpdir(), 'kiln-clients-'));
// Nothing of the machine's own containers is seen or touched.
const own = ['--root', join(folder, 'root'), '--runroot', join(folder, 'run'), '--storage-driver', 'vfs'];
const podman = [...own, '--cgroup-manager=cgroupfs', '--events-backend=file'];
const skips = {
  docker: await why('docker', 'version', '--format', '{{.Server.Version}}'),
  podman: await why('podman', ...podman, 'info'),
  buildah: await why('buildah', ...own, 'info'),
  skopeo: await why('skopeo', '--version'),
  oras: await why('oras', 'version'),
};

describe('other programs and the registry', () => {
  let registry: TestRegistry;
  let digest: OciDigest;
  before(async () => {
    registry = await startTestRegistry();
    digest = await registry.catalog.publishImage({
      ...literalImage(randomBytes(50_000)),
      repository,
      tags: ['v1'],
    });
  });
  after(async () => {
    await registry[Symbol.asyncDispose]();
    await runProcess('chmod', ['-R', 'u+w', folder]);
    await runProcess('rm', ['-rf', folder]);
  });
  const reference = (name: string): string => `${registry.host}/${name}`;
  const resolve = (name: string, tag: string): Promise<OciDigest | undefined> =>
    registry.catalog.resolve(name as RepositoryName, tag);
  /** The uncompressed layers of a pushed image are those of the original. */
  const diffIds = async (name: string, tag: string): Promise<unknown> => {
    const details = await registry.catalog.imageDetails(name as RepositoryName, tag);
    assert.ok(details?.config);
    const blob = await registry.catalog.findBlob(name as RepositoryName, details.config.digest);
    assert.ok(blob);
    const chunks = await Array.fromAsync(registry.catalog.readBlob(blob, { start: 0, end: blob.size }));
    return (JSON.parse(Buffer.concat(chunks).toString()) as { rootfs: { diff_ids: unknown } }).rootfs
      .diff_ids;
  };

  test(
    'Docker pulls by tag and digest, and pushes the same layers back',
    { skip: skips.docker },
    async () => {
      const [byTag, byDigest, copy] = [
        reference('made/here:v1'),
        reference(`made/here@${digest}`),
        reference('docker/copy:v2'),
      ];
      try {
        await succeed('docker', 'pull', '-q', byTag);
        await succeed('docker', 'pull', '-q', byDigest);
        await succeed('docker', 'tag', byTag, copy);
        await succeed('docker', 'push', '-q', copy);
        assert.deepEqual(await diffIds('docker/copy', 'v2'), await diffIds('made/here', 'v1'));
        await succeed('docker', 'rmi', '-f', copy);
        await succeed('docker', 'pull', '-q', copy);
      } finally {
        await runProcess('docker', ['rmi', '-f', byTag, byDigest, copy]);
      }
    },
  );

  test(
    'Podman pulls by tag and digest, and pushes the same layers back',
    { skip: skips.podman },
    async () => {
      const insecure = '--tls-verify=false';
      const id = await succeed('podman', ...podman, 'pull', '-q', insecure, reference('made/here:v1'));
      assert.equal(
        await succeed('podman', ...podman, 'pull', '-q', insecure, reference(`made/here@${digest}`)),
        id,
      );
      await succeed('podman', ...podman, 'push', '-q', insecure, id, reference('podman/copy:v2'));
      assert.deepEqual(await diffIds('podman/copy', 'v2'), await diffIds('made/here', 'v1'));
      await succeed('podman', ...podman, 'rmi', '-f', id);
      await succeed('podman', ...podman, 'pull', '-q', insecure, reference('podman/copy:v2'));
    },
  );

  test(
    'Buildah builds on an image of the registry and pushes the result',
    { skip: skips.buildah },
    async () => {
      const insecure = '--tls-verify=false';
      const container = await succeed('buildah', ...own, 'from', insecure, reference('made/here:v1'));
      const file = join(folder, 'more');
      writeFileSync(file, 'more');
      await succeed('buildah', ...own, 'copy', '-q', container, file, '/more');
      const id = await succeed('buildah', ...own, 'commit', '-q', '--rm', container);
      await succeed('buildah', ...own, 'push', '-q', insecure, id, `docker://${reference('made/more:v1')}`);
      const [base, more] = [await diffIds('made/here', 'v1'), await diffIds('made/more', 'v1')];
      assert.ok(Array.isArray(base) && Array.isArray(more));
      assert.deepEqual([more.length, more[0]], [2, base[0]]);
      await succeed('buildah', ...own, 'pull', '-q', insecure, reference('made/more:v1'));
    },
  );

  test(
    'Skopeo copies between repositories without sending a layer, and deletes',
    { skip: skips.skopeo },
    async () => {
      const plain = [
        '--insecure-policy',
        'copy',
        '-q',
        '--preserve-digests',
        '--src-tls-verify=false',
        '--dest-tls-verify=false',
      ];
      const [from, to] = [
        `docker://${reference('made/here:v1')}`,
        `docker://${reference('copied/there:v1')}`,
      ];
      await succeed('skopeo', ...plain, from, to);
      assert.equal(await resolve('copied/there', 'v1'), digest);
      // The layer has no file: it is still the recipe, which only a mount can have given to the other repository.
      const layers = (await registry.catalog.imageDetails('copied/there' as RepositoryName, 'v1'))?.layerList;
      assert.deepEqual(
        layers?.map((layer) => layer.stored),
        ['recipe'],
      );
      await succeed('skopeo', 'delete', '--tls-verify=false', to);
      assert.equal(await resolve('copied/there', 'v1'), undefined);
      assert.equal(await resolve('made/here', 'v1'), digest);
    },
  );

  test(
    'ORAS attaches to a recipe image, finds and pulls what is attached',
    { skip: skips.oras },
    async () => {
      writeFileSync(join(folder, 'report.gz'), gzipSync('{"ok":true}'));
      // Files outside of the working directory are refused.
      const oras = (...args: string[]): Promise<string> => succeed('env', '-C', folder, 'oras', ...args);
      const image = reference('made/here:v1');
      const plain = '--plain-http';
      await oras('attach', plain, '--artifact-type', 'application/vnd.test.report', image, 'report.gz');
      const found = await oras('discover', plain, '--format', 'json', image);
      assert.match(found, /application\/vnd\.test\.report/);
      const referrers = await registry.catalog.listReferrers(repository, digest, { limit: 10 });
      assert.equal(referrers.items[0]?.artifactType, 'application/vnd.test.report');
      await oras('push', plain, reference('files/report:v1'), 'report.gz');
      await oras('pull', plain, '-o', 'pulled', reference('files/report:v1'));
      const files = ['report.gz', 'pulled/report.gz'].map((name) => readFileSync(join(folder, name)));
      assert.deepEqual(files[0], files[1]);
    },
  );
});
