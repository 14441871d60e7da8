/** Repositories and folders for tests about git. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { isKilnError, type ErrorCode } from '../../src/base/error.ts';

export interface TestFolder extends Disposable {
  readonly path: string;
}

export function testFolder(): TestFolder {
  const path = mkdtempSync(join(tmpdir(), 'kiln-test-git-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** Runs git with fixed identity and dates, and gives what it prints. */
export function git(cwd: string, ...args: string[]): string {
  return execFileSync('git', args, {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env['PATH'],
      HOME: '/nonexistent',
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_AUTHOR_NAME: 'Ada Lovelace',
      GIT_AUTHOR_EMAIL: 'ada@example.org',
      GIT_AUTHOR_DATE: '2024-05-06T07:08:09Z',
      GIT_COMMITTER_NAME: 'Ada Lovelace',
      GIT_COMMITTER_EMAIL: 'ada@example.org',
      GIT_COMMITTER_DATE: '2024-05-06T07:08:09Z',
    },
  }).trim();
}

/** Writes files and commits them. @returns the commit */
export function commit(repository: string, files: Readonly<Record<string, string>>, message: string): string {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(repository, name)), { recursive: true });
    writeFileSync(join(repository, name), content);
  }
  git(repository, 'add', '-A');
  git(repository, 'commit', '-q', '-m', message);
  return git(repository, 'rev-parse', 'HEAD');
}

/** A repository with the branches `main` and `feature/login`, the tags `v1` (annotated) and `v0`, and three commits on main. */
export function makeRepository(path: string): { readonly path: string; readonly commits: readonly string[] } {
  mkdirSync(path, { recursive: true });
  git(path, 'init', '-q', '-b', 'main');
  const first = commit(path, { 'README.md': 'one\n', 'app/default.nix': '{ }\n' }, 'First');
  git(path, 'tag', 'v0');
  const second = commit(path, { 'README.md': 'two\n' }, 'Second');
  git(path, 'tag', '-a', 'v1', '-m', 'Version 1');
  git(path, 'checkout', '-q', '-b', 'feature/login');
  commit(path, { 'login.txt': 'login\n' }, 'Login');
  git(path, 'checkout', '-q', 'main');
  const third = commit(path, { 'README.md': 'three\n' }, 'Third\n\nWith a body: ü');
  return { path, commits: [first, second, third] };
}

/** Waits for a failure with this code and gives its message, place and hint in one text. */
export async function failure(work: Promise<unknown>, code: ErrorCode): Promise<string> {
  const error = await work.then(
    () => assert.fail('it did not fail'),
    (reason: unknown) => reason,
  );
  assert.ok(isKilnError(error), String(error));
  assert.equal(error.code, code, `${error.message} ${error.where}`);
  assert.ok(error.hint, error.message);
  return `${error.message} | ${error.where ?? ''} | ${error.hint}`;
}
