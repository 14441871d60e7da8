/** Releases through the public class: image, tags, registries, statistics, and what stays when something fails. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { BuildPipeline, closeKiln, KilnError, NixBuildService, type BuildResult } from 'kiln';
import { createLocalApi } from '../src/app/local-api.ts';
import { openKiln } from '../src/app/open-kiln.ts';
import { parseRepositoryName } from '../src/oci/reference.ts';
import { RegistryClient } from '../src/registry/registry-client.ts';
import { libraryHome } from './harness/library-home.ts';
import { startTestRegistry } from './registry-server.ts';

const home = libraryHome();
const unique = home.replace(/.*-/, '');
const links = mkdtempSync(join(tmpdir(), 'kiln-test-links-'));
after(() => rmSync(links, { recursive: true }));

const release = { serviceId: 'releases', organizationId: 'org-456', slug: 'my-app' } as const;
const REPOSITORY = parseRepositoryName('org-456/my-app');
let good: BuildResult;
let failing: BuildResult;

before(async () => {
  good = await build('good', `echo "answer $ANSWER ${unique}"`);
  failing = await build('failing', `echo will not start ${unique}; exit 7`);
});

async function build(serviceId: string, text: string): Promise<BuildResult> {
  const result = await NixBuildService.buildFromNixExpression({
    serviceId,
    nixExpression: `with import <nixpkgs> {}; writeShellApplication { name = "app"; text = ''${text}''; }`,
    environmentVars: { ANSWER: '42' },
  });
  assert.equal(result.success, true, result.error);
  return result;
}

test('a link to a result becomes an image with the build and the time as tags', async () => {
  const link = join(links, 'result');
  symlinkSync(good.nixResultPath ?? '', link);
  const result = await BuildPipeline.executePipeline({
    ...release,
    nixResultPath: link,
    buildId: 'build-789',
    environmentVars: { ANSWER: '41' },
  });
  assert.equal(result.success, true, result.error);
  assert.deepEqual([result.buildId, result.pipelineId], ['build-789', 'build-789']);
  assert.match(result.imageReference ?? '', /^localhost:\d+\/org-456\/my-app:latest$/);
  assert.match(result.tags.join(' '), /^latest build-789 \d{8}-\d{6}$/);
  assert.ok((result.imageSize ?? 0) > 0 && (result.artifactSize ?? 0) > 0 && (result.duration ?? 0) > 0);
  assert.ok(result.logs.includes(`started program: answer 41 ${unique}`));
  assert.ok((await NixBuildService.getBuildLogs('build-789')).length > 0);
  assert.equal((await tagsOf()).get('build-789'), result.imageDigest);
});

test('a build of the service is released with the variables that it was built with, and notes its image', async () => {
  const result = await BuildPipeline.executePipeline({
    ...release,
    serviceId: 'good',
    nixResultPath: good.nixResultPath ?? '',
    buildId: good.buildId,
  });
  assert.equal(result.success, true, result.error);
  assert.notEqual(result.pipelineId, good.buildId);
  assert.ok(result.logs.includes(`started program: answer 42 ${unique}`));
  assert.ok(result.tags.includes(good.buildId));
  const status = await NixBuildService.getBuildStatus(good.buildId);
  assert.equal(status.imageDigest, result.imageDigest);
  const again = await BuildPipeline.executePipeline({
    ...release,
    nixResultPath: good.nixResultPath ?? '',
    buildId: good.buildId,
  });
  assert.equal(again.imageDigest, result.imageDigest);
});

test('an image that does not start leaves the tags where they were', async () => {
  const tags = await tagsOf();
  const result = await BuildPipeline.executePipeline({
    ...release,
    nixResultPath: failing.nixResultPath ?? '',
    buildId: 'build-790',
  });
  assert.deepEqual([result.success, result.reason?.code], [false, 'image-does-not-start']);
  assert.match(result.error ?? '', /will not start/);
  assert.deepEqual(await tagsOf(), tags);
});

test('what needs settings of its own is given them', async () => {
  const result = await BuildPipeline.executePipeline({
    ...release,
    slug: 'other',
    nixResultPath: good.nixResultPath ?? '',
    buildId: 'build-791',
    environmentVars: { ANSWER: '40' },
    image: { labels: { 'org.example.team': 'blue' }, entrypoint: [`${good.nixResultPath}/bin/app`] },
    health: { exit: true },
  });
  assert.equal(result.success, true, result.error);
  assert.notEqual(result.imageDigest, (await tagsOf()).get('latest'));
});

test('statistics count a build once, with its release', async () => {
  const stats = await BuildPipeline.getBuildStatistics('good');
  assert.deepEqual([stats.totalBuilds, stats.successRate], [1, 100]);
  assert.ok(stats.averageBuildTime > 0 && stats.averageArtifactSize > 0);
  const releases = await BuildPipeline.getBuildStatistics('releases');
  assert.deepEqual([releases.successfulBuilds, releases.failedBuilds], [2, 1]);
  assert.equal(releases.successRate, 66.7);
  assert.equal((await BuildPipeline.getBuildStatistics('nobody')).totalBuilds, 0);
});

test('the configured registry gets every tag, and one that refuses the image is a warning', async () => {
  await closeKiln();
  const options = { ...release, nixResultPath: good.nixResultPath ?? '', environmentVars: { ANSWER: '39' } };
  {
    await using registry = await startTestRegistry();
    process.env['DOCKER_REGISTRY_URL'] = `http://${registry.host}`;
    const result = await BuildPipeline.executePipeline({ ...options, buildId: 'build-792' });
    assert.equal(result.success, true, result.error);
    assert.deepEqual(
      result.pushedTo,
      result.tags.map((tag) => `${registry.host}/${REPOSITORY}:${tag}`),
    );
    const there = new RegistryClient().repository(registry.host, REPOSITORY);
    for (const tag of result.tags) assert.equal(await there.headManifest(tag), result.imageDigest);
  }
  await closeKiln();
  const refusing = createServer((_request, response) => void response.writeHead(403).end());
  refusing.listen(0, '127.0.0.1');
  await once(refusing, 'listening');
  const address = refusing.address();
  process.env['DOCKER_REGISTRY_URL'] = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
  const kept = await BuildPipeline.executePipeline({ ...options, buildId: 'build-793' });
  refusing.close();
  assert.equal(kept.success, true, kept.error);
  assert.deepEqual(kept.pushedTo, []);
  assert.match(kept.warnings.join(), /it is kept in the embedded registry/);
  assert.equal((await tagsOf()).get('build-793'), kept.imageDigest);
  delete process.env['DOCKER_REGISTRY_URL'];
  await closeKiln();
});

test('what is no result of Nix, and names that cannot be, are refused', async () => {
  const options = { ...release, nixResultPath: good.nixResultPath ?? '', buildId: 'build-1' };
  const refused = async (changes: object, code: string, text: RegExp): Promise<void> =>
    await assert.rejects(BuildPipeline.executePipeline({ ...options, ...changes }), (error) => {
      assert.ok(error instanceof KilnError);
      assert.equal(error.code, code, error.message);
      assert.match([error.message, error.where, error.hint].join('\n'), text);
      return true;
    });
  await refused({ nixResultPath: join(links, 'absent') }, 'not-found', /absent/);
  await refused({ nixResultPath: links }, 'invalid-input', /not a result of Nix/);
  await refused({ nixResultPath: `${options.nixResultPath}/bin` }, 'invalid-input', /directly below/);
  await refused({ slug: 'My App' }, 'invalid-name', /lower-case/);
  await refused({ organizationId: '../other' }, 'invalid-name', /lower-case/);
  await refused({ buildId: 'no/tag' }, 'invalid-name', /tag/);
  await refused({ image: { port: 80 } }, 'invalid-input', /port/);
  await refused({ nixResult: '/x' }, 'invalid-input', /Did you mean nixResultPath/);
});

/** Tag → digest, as the registry of this file has them. */
async function tagsOf(): Promise<Map<string, string>> {
  await closeKiln();
  const signal = AbortSignal.timeout(60_000);
  const kiln = await openKiln({ env: process.env, signal, onNotice: () => undefined });
  await using api = createLocalApi(kiln);
  const catalog = await kiln.catalog();
  const tags = new Map<string, string>();
  for (const image of await catalog.listImages({ tagged: true })) {
    if (image.repository !== REPOSITORY) continue;
    for (const tag of image.tags) tags.set(tag, image.digest);
  }
  assert.ok(api);
  return tags;
}
