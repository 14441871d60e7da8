/** Every function of examples/library.ts, against repositories and a cache that can be reached from here. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isStorePath } from '../src/store/store-path.ts';
import {
  buildFromExpression,
  buildFromRepository,
  buildFromTemplate,
  followABuild,
  releaseResult,
  useCache,
  useGit,
} from '../examples/library.ts';
import { commit, git, testFolder } from './harness/git-fixture.ts';
import { startGitHttpServer } from './harness/git-http-server.ts';
import { libraryHome } from './harness/library-home.ts';

libraryHome('[git]\nallowLoopback = true\n');

test('the expression is built, and its result released under the name of organization and application', async () => {
  const built = await buildFromExpression();
  assert.ok(built.success, built.error);
  assert.ok(existsSync(join(built.nixResultPath ?? '', 'bin/my-app')));
  const released = await releaseResult(built.nixResultPath, built.buildId);
  assert.ok(released.success, released.error);
  assert.match(released.imageReference ?? '', /\/org-456\/my-app:latest$/);
  assert.ok(released.logs.includes('started program: running as production'));
});

test('a repository is checked, cloned and built', async () => {
  using source = testFolder();
  using target = testFolder();
  git(source.path, 'init', '-q', '-b', 'main');
  const expression = 'with import <nixpkgs> {}; runCommand "from-git" { } "echo built > $out"';
  const sha = commit(source.path, { 'default.nix': expression }, 'One');
  await using server = await startGitHttpServer(source.path);
  const directory = join(target.path, 'clone');
  const { cloneResult, commitInfo } = await useGit(server.url, directory, { allowLoopback: true });
  assert.deepEqual([cloneResult.commitSha, commitInfo.sha, commitInfo.message], [sha, sha, 'One']);
  const built = await buildFromRepository(server.url);
  assert.ok(built.success, built.error);
  assert.deepEqual([built.commitSha, built.branch], [sha, 'main']);
});

test('a registered template is built with its customizations', async () => {
  const built = await buildFromTemplate();
  assert.ok(built.success, built.error);
  assert.match(readFileSync(join(built.nixResultPath ?? '', 'bin/greeting'), 'utf8'), /would listen on 8080/);
});

test('a build is followed and cancelled while it runs', async () => {
  assert.equal((await followABuild()).status, 'cancelled');
});

test('a cache is configured, packages are kept, and nothing that is needed is removed', async () => {
  const { nixResultPath = '' } = await buildFromTemplate();
  // So old that no path of this store can be meant.
  assert.equal(await useCache('http://127.0.0.1:9', ['busybox'], 100_000), 0);
  assert.ok(isStorePath(nixResultPath) && existsSync(nixResultPath));
});
