/** Which folders are recognised as what, and what is said where nothing is. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { isKilnError } from '../src/base/error.ts';
import { parseDockerfile, parseProcfile } from '../src/source/recognise/container-hints.ts';
import { allTemplates, findTemplate, listTemplates } from '../src/source/templates/list-templates.ts';
import { satisfiesMajor } from '../src/source/templates/node-version.ts';
import { execLine } from '../src/source/templates/start-script.ts';
import { planFolder } from '../src/source/folder-plan.ts';
import { readSourceTree } from '../src/source/tree/source-tree.ts';
import { treeReader } from '../src/source/tree/tree-reader.ts';
import { sourceContext } from './harness/source-context.ts';
import { workFolder, type WorkFolder } from './harness/work-folder.ts';

function writeTree(work: WorkFolder, files: Readonly<Record<string, string>>): string {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(work.path, 'app', dirname(name)), { recursive: true });
    work.write(join('app', name), content);
  }
  return join(work.path, 'app');
}

async function plan(
  files: Readonly<Record<string, string>>,
): Promise<Awaited<ReturnType<typeof planFolder>>> {
  using work = workFolder();
  const context = sourceContext(work.path);
  const tree = await readSourceTree(writeTree(work, files), { workspace: context.workspace });
  const paths = tree.entries.map((entry) => entry.path);
  return await planFolder({
    tree: treeReader(tree.directory, paths),
    fallbackName: 'app',
    environmentVars: {},
    context,
  });
}

const CASES: readonly (readonly [string, Readonly<Record<string, string>>, string])[] = [
  ['default.nix', { 'default.nix': '{}', 'package.json': '{}' }, 'nix-file'],
  ['flake.nix', { 'flake.nix': '{ outputs = _: { }; }', 'package.json': '{}' }, 'flake'],
  ['default.nix beside flake.nix', { 'default.nix': '{}', 'flake.nix': '{}' }, 'nix-file'],
  [
    'a default.nix for callPackage beside flake.nix',
    { 'default.nix': '# x\n{\n  lib,\n  stdenv,\n}:\nstdenv', 'flake.nix': '{ outputs = _: { }; }' },
    'flake',
  ],
  [
    'a default.nix that reads flake.nix',
    {
      'default.nix':
        '(import (fetchTarball "https://x.example/flake-compat.tar.gz") { src = ./.; }).defaultNix',
      'flake.nix': '{ }',
    },
    'flake',
  ],
  [
    'a default.nix with defaults beside flake.nix',
    { 'default.nix': '{ pkgs ? import <nixpkgs> { }, lib ? pkgs.lib }: pkgs.hello', 'flake.nix': '{ }' },
    'nix-file',
  ],
  [
    'a named Nix file',
    { 'kiln.toml': '[build]\nfile = "nix/app.nix"', 'nix/app.nix': '{}', 'default.nix': '{}' },
    'nix-file',
  ],
  ['package.json with a start script', { 'package.json': '{"scripts":{"start":"node x.js"}}' }, 'node'],
  ['package.json with a main file', { 'package.json': '{}', 'server.js': '' }, 'node'],
  ['main.py', { 'main.py': 'print(1)' }, 'python'],
  ['go.mod', { 'go.mod': 'module x\n\ngo 1.23\n', 'main.go': 'package main\n' }, 'go'],
  [
    'go.mod with cmd/',
    {
      'go.mod': 'module example.com/tool\n\ngo 1.23\n',
      'cmd/tool/main.go': 'package main\n',
      'cmd/other/main.go': 'package main\n',
    },
    'go',
  ],
  ['index.html', { 'index.html': '<h1>' }, 'static-site'],
  ['public/index.html', { 'public/index.html': '<h1>', 'readme.md': '' }, 'static-site'],
  [
    'a template named over a Nix file',
    { 'kiln.toml': '[build]\ntemplate = "static-site"', 'default.nix': '{}', 'index.html': '' },
    'static-site',
  ],
];

for (const [title, files, expected] of CASES) {
  test(`a folder with ${title} is built as ${expected}`, async () => {
    const found = await plan(files);
    assert.equal(found.by === 'template' ? found.template : found.by, expected);
  });
}

test('a folder that nothing recognises lists what was looked for', async () => {
  await assert.rejects(plan({ 'notes.txt': 'x' }), (error) => {
    assert.ok(isKilnError(error) && error.code === 'source-unrecognised');
    assert.match(error.where ?? '', /package\.json.*go\.mod.*found: notes\.txt/s);
    return true;
  });
});

test('a shell.nix alone is named as what cannot be built', async () => {
  await assert.rejects(plan({ 'shell.nix': '{}' }), /only a shell\.nix/);
});

test('dependencies that no registry has are refused without a lock, with the command that makes one', async () => {
  for (const range of ['github:a/b', 'a/b', 'file:../b', 'https://host.example/b.tgz']) {
    const manifest = { scripts: { start: 'node .' }, dependencies: { fine: '^1.0.0', odd: range } };
    await assert.rejects(
      plan({ 'package.json': JSON.stringify(manifest) }),
      (error) =>
        isKilnError(error) && /npm install --package-lock-only.*here: odd from/.test(error.hint ?? ''),
      range,
    );
  }
});

test('an unknown key of kiln.toml is an error that suggests the right one', async () => {
  await assert.rejects(plan({ 'kiln.toml': '[build]\ncomand = "x"', 'index.html': '' }), (error) => {
    return (
      isKilnError(error) && error.code === 'invalid-config' && error.hint === 'Did you mean build.command?'
    );
  });
});

test('settings of the application win over what the template derives', async () => {
  const kiln =
    '[build]\nstart = "node main.js"\n[image]\nports = [4000]\nenv = { PORT = "4001" }\n[health]\nhttp = "/up"\n';
  const found = await plan({ 'kiln.toml': kiln, 'package.json': '{}' });
  assert.deepEqual(found.settings.image?.env, { PORT: '4001', HOST: '0.0.0.0', NODE_ENV: 'production' });
  assert.deepEqual(found.settings.health, { port: 4000, http: '/up' });
  assert.match(found.by === 'template' ? found.plan.expression : '', /exec node main\.js "\$@"/);
});

test('text of the application cannot break out of the expression', async () => {
  const found = await plan({
    'package.json': JSON.stringify({
      name: '"${builtins.abort 1}',
      scripts: { start: "node '' ${x} ''${y}" },
    }),
  });
  const text = found.by === 'template' ? found.plan.expression : '';
  assert.match(text, /exec node ''' ''\$\{x\} '''''\$\{y\}/);
  assert.match(text, /pname = "builtins\.abort-1"/);
});

test('an unknown template is an error that lists them', () => {
  assert.throws(() => findTemplate('nod'), /no template "nod"/);
  assert.deepEqual(
    listTemplates().map((entry) => entry.name),
    ['node', 'python', 'go', 'static-site'],
  );
});

test('every starter is recognised by its own template', async () => {
  for (const template of allTemplates()) {
    const found = await plan(template.starter);
    assert.equal(found.by === 'template' ? found.template : found.by, template.name);
  }
});

test('a Procfile and a Dockerfile tell the start command and the port', () => {
  assert.equal(
    parseProcfile('release: x\nweb: gunicorn app:app --bind :$PORT\n'),
    'gunicorn app:app --bind :$PORT',
  );
  const dockerfile =
    'FROM a AS b\nEXPOSE 1\nCMD x\nFROM c\nEXPOSE 8081/tcp\nENTRYPOINT ["node"]\nCMD ["a b.js"]\n';
  assert.deepEqual(parseDockerfile(dockerfile), { start: "node 'a b.js'", port: 8081 });
  assert.deepEqual(parseDockerfile('FROM a\nWORKDIR /app\nCMD ["python", "/app/main.py"]'), {
    start: 'python ./main.py',
  });
});

test('version ranges of engines choose a packaged Node.js', () => {
  const table: readonly (readonly [string, readonly number[]])[] = [
    ['>=20', [20, 22, 24]],
    ['^22.3.0', [22]],
    ['20.x', [20]],
    ['18 || 20', [20]],
    ['>=18 <23', [20, 22]],
    ['v22.1.0', [22]],
    ['*', [20, 22, 24]],
    ['20 - 22', [20, 22]],
    ['>= 22.0.0', [22, 24]],
    ['~24.1', [24]],
    ['<22', [20]],
  ];
  for (const [range, majors] of table) {
    assert.deepEqual(
      [20, 22, 24].filter((major) => satisfiesMajor(major, range)),
      majors,
      range,
    );
  }
});

test('a plain start command replaces the shell, others stay as they are', () => {
  assert.equal(execLine('node a.js'), 'exec node a.js "$@"');
  assert.equal(execLine('A=1 node a.js'), 'exec env A=1 node a.js "$@"');
  assert.equal(execLine('a && b'), 'a && b');
});
