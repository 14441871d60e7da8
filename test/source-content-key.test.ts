/** The content key: the same for the same content wherever it lies, another one for everything that evaluation can see. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { isKilnError } from '../src/base/error.ts';
import { parseFlakeReference } from '../src/source/flake-reference.ts';
import { resolveSource } from '../src/source/resolve-source.ts';
import type { BuildOptions, Source, SourceSpec } from '../src/source/source.ts';
import { pruneTrees } from '../src/source/tree/prune-trees.ts';
import { sourceContext } from './harness/source-context.ts';
import { workFolder } from './harness/work-folder.ts';

const EXPRESSION =
  '{ pkgs ? import <nixpkgs> { }, GREETING ? "" }: pkgs.stdenv.mkDerivation { name = "x"; src = ./.; inherit GREETING; }\n';

function application(folder: string): string {
  const app = join(folder, 'app');
  mkdirSync(join(app, 'src'), { recursive: true });
  writeFileSync(join(app, 'default.nix'), EXPRESSION);
  writeFileSync(join(app, 'src', 'main.c'), 'int main;\n');
  writeFileSync(join(app, 'run'), '#!/bin/sh\n');
  return app;
}

function git(folder: string, ...args: string[]): void {
  const identity = ['-c', 'user.name=t', '-c', 'user.email=t@example.org', '-c', 'init.defaultBranch=main'];
  execFileSync('git', ['-C', folder, ...identity, ...args], { stdio: 'pipe' });
}

const keyOf = async (folder: string, spec: SourceSpec, options: BuildOptions = {}): Promise<string> =>
  (await resolveSource(spec, options, sourceContext(folder))).contentKey;

test('the key is the same for the same files elsewhere, at another time, and in a Git work tree', async () => {
  using work = workFolder();
  const app = application(work.path);
  const first = await keyOf(work.path, { kind: 'directory', path: app });
  const other = join(work.path, 'elsewhere', 'renamed');
  cpSync(app, other, { recursive: true });
  utimesSync(join(other, 'run'), 1, 1);
  assert.equal(await keyOf(work.path, { kind: 'directory', path: other }), first);
  git(other, 'init', '--quiet');
  git(other, 'add', 'default.nix');
  writeFileSync(join(other, '.git', 'info', 'exclude'), 'ignored\n');
  writeFileSync(join(other, 'ignored'), 'x');
  assert.equal(await keyOf(work.path, { kind: 'directory', path: other }), first);
  git(other, 'add', '.');
  git(other, 'commit', '--quiet', '-m', 'x');
  assert.equal(await keyOf(work.path, { kind: 'git', url: other }), first);
});

test('every change that evaluation can see changes the key, and undoing it brings the key back', async () => {
  using work = workFolder();
  const app = application(work.path);
  const key = (options: BuildOptions = {}): Promise<string> =>
    keyOf(work.path, { kind: 'directory', path: app }, options);
  const first = await key();
  const seen = new Set([first]);
  const changes: readonly (readonly [string, () => void, () => void])[] = [
    [
      'content',
      () => writeFileSync(join(app, 'src', 'main.c'), 'int niam;\n'),
      () => writeFileSync(join(app, 'src', 'main.c'), 'int main;\n'),
    ],
    ['mode', () => chmodSync(join(app, 'run'), 0o755), () => chmodSync(join(app, 'run'), 0o644)],
    [
      'name',
      () => renameSync(join(app, 'run'), join(app, 'start')),
      () => renameSync(join(app, 'start'), join(app, 'run')),
    ],
    ['another file', () => writeFileSync(join(app, 'more'), ''), () => rmSync(join(app, 'more'))],
    ['a link', () => symlinkSync('run', join(app, 'link')), () => rmSync(join(app, 'link'))],
  ];
  for (const [what, change, undo] of changes) {
    change();
    const changed = await key();
    assert.ok(!seen.has(changed), what);
    seen.add(changed);
    undo();
    assert.equal(await key(), first, `${what}, undone`);
  }
  const options: readonly BuildOptions[] = [
    { attr: 'a' },
    { packages: 'basis' },
    { environmentVars: { GREETING: 'hi' } },
  ];
  for (const option of options) {
    const changed = await key(option);
    assert.ok(!seen.has(changed), JSON.stringify(option));
    seen.add(changed);
  }
});

test('what only the image or the builder needs does not change the key', async () => {
  using work = workFolder();
  const app = application(work.path);
  const spec: SourceSpec = { kind: 'directory', path: app };
  const first = await keyOf(work.path, spec);
  assert.equal(
    await keyOf(work.path, spec, { environmentVars: { OTHER: 'x' }, buildTimeout: 60, silenceTimeout: 5 }),
    first,
  );
  mkdirSync(join(app, 'node_modules'));
  writeFileSync(join(app, 'node_modules', 'x'), 'x');
  writeFileSync(join(app, '.env'), 'SECRET=x');
  assert.equal(await keyOf(work.path, spec), first);
});

test('an expression that asks for the time has a new key each time', async () => {
  using work = workFolder();
  const spec: SourceSpec = {
    kind: 'expression',
    expression: 'derivation { name = toString builtins.currentTime; }',
  };
  assert.notEqual(await keyOf(work.path, spec), await keyOf(work.path, spec));
  const pure: SourceSpec = { kind: 'expression', expression: EXPRESSION, files: { 'a/b.txt': 'x' } };
  assert.equal(await keyOf(work.path, pure), await keyOf(work.path, pure));
});

test('the copy holds what was hashed, without .git, and a second look makes no second copy', async () => {
  using work = workFolder();
  const app = application(work.path);
  git(app, 'init', '--quiet');
  const context = sourceContext(work.path);
  const look = async (): Promise<Source> =>
    await resolveSource({ kind: 'directory', path: app }, {}, context);
  await using source = await look();
  assert.equal(readFileSync(join(source.directory, 'src', 'main.c'), 'utf8'), 'int main;\n');
  assert.throws(() => statSync(join(source.directory, '.git')));
  const { ino } = statSync(source.directory);
  assert.equal(statSync((await look()).directory).ino, ino);
  assert.equal(await pruneTrees(context.workspace, 1000, Date.now()), 0);
  assert.ok((await pruneTrees(context.workspace, 1000, Date.now() + 10_000)) > 0);
});

test('a file without relative paths does not bring its folder along', async () => {
  using work = workFolder();
  const file = work.write('one.nix', 'with import <nixpkgs> { }; hello\n');
  const spec: SourceSpec = { kind: 'file', path: file };
  const first = await keyOf(work.path, spec);
  work.write('unrelated', 'x');
  assert.equal(await keyOf(work.path, spec), first);
});

test('a folder that refers to one above it brings the whole repository', async () => {
  using work = workFolder();
  const app = application(work.path);
  git(work.path, 'init', '--quiet');
  writeFileSync(join(app, 'default.nix'), 'import ../lib.nix\n');
  work.write('lib.nix', '{ }');
  work.write('.gitignore', 'workspace\ndependencies\n');
  const source = await resolveSource({ kind: 'directory', path: app }, {}, sourceContext(work.path));
  assert.equal(readFileSync(join(source.directory, '..', 'lib.nix'), 'utf8'), '{ }');
});

test('a known commit is not cloned again, and carries its commit', async () => {
  using work = workFolder();
  const app = application(work.path);
  git(app, 'init', '--quiet');
  git(app, 'add', '.');
  git(app, 'commit', '--quiet', '-m', 'the first');
  const lines: string[] = [];
  const context = { ...sourceContext(work.path), onProgress: (line: string) => lines.push(line) };
  const first = await resolveSource({ kind: 'git', url: app }, {}, context);
  const second = await resolveSource({ kind: 'git', url: app, ref: 'main' }, {}, context);
  assert.equal(second.contentKey, first.contentKey);
  assert.equal(second.commit?.message.trim(), 'the first');
  assert.equal(second.branch, 'main');
  assert.ok(lines.some((line) => line.includes('nothing to clone')));
});

test('paths that leave the source are refused', async () => {
  using work = workFolder();
  const context = sourceContext(work.path);
  for (const name of ['../x', '/etc/x', 'a/../../x', '.git/config', 'a\\b', '']) {
    const spec: SourceSpec = { kind: 'expression', expression: '{ }', files: { [name]: '' } };
    await assert.rejects(
      resolveSource(spec, {}, context),
      (error) => isKilnError(error) && error.code === 'invalid-input',
      name,
    );
  }
  const app = application(work.path);
  writeFileSync(join(app, 'kiln.toml'), '[build]\nfile = "secret.nix"\n');
  symlinkSync('/etc/hostname', join(app, 'secret.nix'));
  await assert.rejects(
    resolveSource({ kind: 'directory', path: app }, {}, context),
    /not a file inside the source/,
  );
});

test('files of this machine are not for requests from the network', async () => {
  using work = workFolder();
  const context = { ...sourceContext(work.path), allowLocal: false };
  for (const spec of [
    { kind: 'directory', path: work.path },
    { kind: 'file', path: '/etc/x.nix' },
    { kind: 'flake', reference: `path:${work.path}` },
  ] as const) {
    await assert.rejects(
      resolveSource(spec, {}, context),
      (error) => isKilnError(error) && error.code === 'forbidden',
    );
  }
});

test('local flakes are told from remote ones', () => {
  assert.deepEqual(parseFlakeReference('.#web'), { reference: '.', attr: 'web', directory: '.' });
  assert.deepEqual(parseFlakeReference('path:/a?dir=b#c'), {
    reference: 'path:/a?dir=b',
    attr: 'c',
    directory: '/a/b',
  });
  assert.deepEqual(parseFlakeReference('github:o/r#x'), { reference: 'github:o/r', attr: 'x' });
  assert.deepEqual(parseFlakeReference('nixpkgs#hello'), { reference: 'nixpkgs', attr: 'hello' });
  for (const bad of ['', '--impure', 'a b', 'path:%zz'])
    assert.throws(() => parseFlakeReference(bad), isKilnError);
});

test('variables of a template reach the image', async () => {
  using work = workFolder();
  const spec: SourceSpec = {
    kind: 'template',
    template: 'node',
    customizations: { environmentVars: { PORT: '8080' } },
  };
  const source = await resolveSource(spec, {}, sourceContext(work.path));
  assert.equal(source.template, 'node');
  assert.equal(source.settings.image?.env?.['PORT'], '8080');
});
