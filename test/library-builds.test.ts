/** Builds through the public class: results, failures, wrong usage, templates, repositories, cancelling and cleaning up. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { closeKiln, KilnError, NixBuildService, type StepView } from 'kiln';
import { commit, git, testFolder } from './harness/git-fixture.ts';
import { startGitHttpServer } from './harness/git-http-server.ts';
import { libraryHome } from './harness/library-home.ts';

const home = libraryHome('[git]\nallowLoopback = true\n');
const unique = home.replace(/.*-/, '');

/** A derivation of this run alone, made by one shell command. */
const running = (script: string, name = 'tiny'): string =>
  `with import <nixpkgs> {}; runCommand "${name}" { run = "${unique}"; } ''${script}''`;

test('an expression with a file beside it gives its result, its log and its steps as they come', async () => {
  const steps: StepView[] = [];
  const lines: string[] = [];
  const result = await NixBuildService.buildFromNixExpression({
    serviceId: 'expressions',
    nixExpression: running('echo from the builder; cp ${./greeting.txt} $out'),
    files: { 'greeting.txt': 'hello\n' },
    onStep: (step) => steps.push(step),
    onLog: (line) => lines.push(line.text),
  });
  assert.equal(result.success, true, result.error);
  assert.equal(result.status, 'success');
  assert.equal(readFileSync(result.nixResultPath ?? '', 'utf8'), 'hello\n');
  assert.deepEqual(result.outPaths, [result.nixResultPath]);
  assert.ok(result.logs.includes('from the builder'));
  assert.deepEqual(lines, result.logs);
  assert.ok(steps.some((step) => step.name === 'build' && step.status === 'success'));
  assert.equal(result.imageDigest, undefined);
  assert.equal(result.error, undefined);
  const status = await NixBuildService.getBuildStatus(result.buildId);
  assert.equal(status.nixResultPath, result.nixResultPath);
  const [line] = (await NixBuildService.getBuildLogs(result.buildId)).filter(
    ({ text }) => text === 'from the builder',
  );
  assert.equal(line?.step, 'build');
  assert.ok(line?.derivation?.endsWith('-tiny.drv'));
});

test('with image: true the same build goes on to an image that starts', async () => {
  const result = await NixBuildService.buildFromNixExpression({
    serviceId: 'images',
    nixExpression: `with import <nixpkgs> {}; writeShellApplication { name = "once"; text = "echo ${unique}"; }`,
    image: true,
    imageName: 'tests/once',
    imageTag: 'v1',
  });
  assert.equal(result.success, true, result.error);
  assert.match(result.imageDigest ?? '', /^sha256:[0-9a-f]{64}$/);
  assert.match(result.imageReference ?? '', /\/tests\/once:v1$/);
});

test('a syntax error is found first and named by file, line, column and source line', async () => {
  const result = await NixBuildService.buildFromNixExpression({
    serviceId: 'errors',
    nixExpression: '{\n  name = "app"\n  version = "1";\n}\n',
  });
  assert.equal(result.success, false);
  assert.equal(result.reason?.code, 'syntax-error');
  const { file, line, column, sourceLine } = result.reason?.fields ?? {};
  assert.deepEqual(
    { file, line, column, sourceLine },
    { file: 'expression', line: 3, column: 11, sourceLine: '  version = "1";' },
  );
  assert.match(result.error ?? '', /expression:3:11/);
  const validation = await NixBuildService.validateNixExpression('{ a = ; }');
  assert.deepEqual([validation.valid, validation.line, validation.column], [false, 1, 7]);
  assert.deepEqual(await NixBuildService.validateNixExpression('{ a = 1; }'), { valid: true });
});

test('a builder that fails resolves with the reason and its last lines', async () => {
  const result = await NixBuildService.buildFromNixExpression({
    serviceId: 'errors',
    nixExpression: running('echo about to fail; exit 3', 'failing'),
  });
  assert.deepEqual([result.success, result.status, result.reason?.code], [false, 'failed', 'build-failed']);
  assert.match(result.error ?? '', /about to fail/);
  assert.deepEqual(result.outPaths, []);
});

test('a build that outlives its time limit has failed with that reason', async () => {
  const result = await NixBuildService.buildFromNixExpression({
    serviceId: 'errors',
    nixExpression: running('while :; do :; done', 'endless'),
    buildTimeout: 4,
  });
  assert.deepEqual([result.success, result.reason?.code], [false, 'timed-out']);
});

test('options that cannot be used are refused with what to do', async () => {
  const nixExpression = '1';
  const build = (options: object): Promise<unknown> =>
    NixBuildService.buildFromNixExpression({ serviceId: 's', nixExpression, ...options });
  await refused(build({ buildTimeout: 3601 }), 'invalid-input', /3600/);
  await refused(build({ serviceId: '' }), 'invalid-input', /serviceId/);
  await refused(build({ enviromentVars: {} }), 'invalid-input', /Did you mean environmentVars/);
  await refused(build({ imageName: 'Not Allowed' }), 'invalid-name', /lower-case/);
  await refused(build({ files: { '../escape': '' } }), 'invalid-input', /\.\./);
  await refused(NixBuildService.getBuildStatus('build-none'), 'not-found', /build-none/);
  await refused(NixBuildService.cleanupOldBuilds(-1), 'invalid-input', /days/);
});

test('a template that nobody registered is refused with the list of templates, then registered and built', async () => {
  const build = (): ReturnType<typeof NixBuildService.buildFromTemplate> =>
    NixBuildService.buildFromTemplate({
      serviceId: 'templates',
      templateId: 'template-456',
      customizations: { environmentVars: { PORT: '8080' }, files: { 'word.txt': 'customized' } },
    });
  await refused(build(), 'not-found', /node, python, go, static-site/);
  NixBuildService.registerTemplate({
    id: 'template-456',
    nixExpression: `{ PORT }: ${running('echo $(cat ${./word.txt}) ${PORT} > $out', 'from-template')}`,
    files: { 'word.txt': 'original' },
  });
  assert.ok(NixBuildService.listTemplates().some(({ name }) => name === 'template-456'));
  const result = await build();
  assert.equal(result.success, true, result.error);
  assert.equal(readFileSync(result.nixResultPath ?? '', 'utf8'), 'customized 8080\n');
  assert.throws(() => NixBuildService.registerTemplate({ id: 'node', basedOn: 'node' }), {
    code: 'conflict',
  });
  assert.throws(() => NixBuildService.registerTemplate({ id: 'both' }), { code: 'invalid-input' });
});

test('one of the templates that come along is built with other files', async () => {
  NixBuildService.registerTemplate({ id: 'my-site', basedOn: 'static-site' });
  const result = await NixBuildService.buildFromTemplate({
    serviceId: 'templates',
    templateId: 'my-site',
    customizations: { files: { 'index.html': `<h1>${unique}</h1>` } },
  });
  assert.equal(result.success, true, result.error);
  const found = execFileSync('grep', ['-r', unique, result.nixResultPath ?? ''], { encoding: 'utf8' });
  assert.match(found, /index\.html/);
});

test('a repository is built by its address with a token that shows nowhere', async () => {
  using folder = testFolder();
  git(folder.path, 'init', '-q', '-b', 'main');
  const sha = commit(folder.path, { 'default.nix': running('echo built > $out', 'from-git') }, 'One');
  const accessToken = `secret-token-${unique}`;
  await using server = await startGitHttpServer(folder.path, { basic: `oauth2:${accessToken}` });
  const options = { serviceId: 'git', repoUrl: server.url, branch: 'main' };
  const refusedResult = await NixBuildService.buildFromGitRepository(options);
  assert.deepEqual([refusedResult.success, refusedResult.reason?.code], [false, 'git-credentials']);
  const result = await NixBuildService.buildFromGitRepository({ ...options, accessToken });
  assert.equal(result.success, true, result.error);
  assert.deepEqual([result.commitSha, result.branch], [sha, 'main']);
  const everything = JSON.stringify([result, await NixBuildService.getBuildLogs(result.buildId)]);
  assert.equal(everything.includes(accessToken), false);
  const missing = await NixBuildService.buildFromGitRepository({ ...options, accessToken, branch: 'absent' });
  assert.deepEqual([missing.success, missing.reason?.code], [false, 'git-branch']);
});

test('files of this machine are not built for an address, and not read by an expression', async () => {
  const repository = await NixBuildService.buildFromGitRepository({
    serviceId: 'git',
    repoUrl: 'file:///etc',
  });
  assert.deepEqual([repository.success, repository.reason?.code], [false, 'git-url']);
  const expression = await NixBuildService.buildFromNixExpression({
    serviceId: 'git',
    nixExpression: running('echo ${builtins.readFile "/etc/hostname"} > $out'),
  });
  assert.deepEqual([expression.success, expression.reason?.code], [false, 'evaluation-failed']);
});

test('a running build is cancelled by its identifier, by a signal, and can be tried again', async () => {
  const endless = { serviceId: 'cancel', nixExpression: running('echo begun; while :; do :; done', 'long') };
  const begun = Promise.withResolvers<string>();
  const first = NixBuildService.buildFromNixExpression({
    ...endless,
    onLog: ({ text }) => text === 'begun' && begun.resolve(text),
    onStart: (id) => void begun.promise.then(() => cancelled.resolve(NixBuildService.cancelBuild(id))),
  });
  const cancelled = Promise.withResolvers<Awaited<ReturnType<typeof NixBuildService.cancelBuild>>>();
  assert.equal((await cancelled.promise).status, 'cancelled');
  const result = await first;
  assert.deepEqual([result.success, result.status], [false, 'cancelled']);
  await refused(NixBuildService.cancelBuild(result.buildId), 'conflict', /ended/);
  const abort = new AbortController();
  const again = await NixBuildService.retryBuild(result.buildId, {
    signal: abort.signal,
    onLog: ({ text }) => text === 'begun' && abort.abort(),
  });
  assert.deepEqual([again.buildId, again.attempt, again.status], [result.buildId, 2, 'cancelled']);
});

test('after closing, the next call opens everything again; old builds can be removed', async () => {
  await closeKiln();
  const before = await NixBuildService.listBuilds({ serviceId: 'errors' });
  assert.ok(before.length >= 3);
  assert.equal(await NixBuildService.cleanupOldBuilds(30), 0);
  await NixBuildService.cleanupOldBuilds(0, { keepNewest: 1 });
  assert.deepEqual(
    (await NixBuildService.listBuilds({ serviceId: 'errors' })).map(({ buildId }) => buildId),
    [before[0]?.buildId],
  );
});

test('a call that waits when Kiln is closed rejects, and its build goes on with the next start', async () => {
  const started = Promise.withResolvers<string>();
  const waiting = NixBuildService.buildFromNixExpression({
    serviceId: 'closing',
    nixExpression: running('echo begun; while [ ! -e /never ]; do :; done', 'waiting'),
    onLog: ({ text }) => text === 'begun' && void closeKiln(),
    onStart: started.resolve,
  });
  await refused(waiting, 'cancelled', /closed/);
  assert.equal((await NixBuildService.getBuildStatus(await started.promise)).status, 'pending');
  await NixBuildService.cancelBuild(await started.promise);
});

test('a script ends by itself, without closing anything', () => {
  const script = `
    import { NixBuildService } from 'kiln';
    console.log((await NixBuildService.listBuilds({ limit: 1 })).length);`;
  const output = execFileSync(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', script],
    {
      cwd: import.meta.dirname,
      encoding: 'utf8',
      env: { ...process.env, KILN_HOME: join(home, 'other') },
      timeout: 60_000,
    },
  );
  assert.equal(output, '0\n');
});

async function refused(work: Promise<unknown>, code: string, text: RegExp): Promise<void> {
  await assert.rejects(work, (error) => {
    assert.ok(error instanceof KilnError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match([error.message, error.where, error.hint].join('\n'), text);
    return true;
  });
}
