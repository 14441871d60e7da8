/** What is started, and on which port, in applications as people write them. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { saysItsUsage } from '../src/image/usage-text.ts';
import { fixedPort } from '../src/source/templates/fixed-port.ts';
import { readGoModule, vendorFits } from '../src/source/templates/go-module.ts';
import { nodeStart, type NodeStart } from '../src/source/templates/node-start.ts';
import { readPackageJson } from '../src/source/templates/package-json.ts';
import { readPyproject } from '../src/source/templates/pyproject.ts';
import { pythonStart } from '../src/source/templates/python-start.ts';
import { scriptCommands } from '../src/source/templates/script-programs.ts';
import { enterLines } from '../src/source/templates/start-script.ts';
import { treeReader, type TreeReader } from '../src/source/tree/tree-reader.ts';
import { sourceContext } from './harness/source-context.ts';
import { workFolder } from './harness/work-folder.ts';

type Files = Readonly<Record<string, string>>;

async function withTree<T>(files: Files, use: (tree: TreeReader, folder: string) => Promise<T>): Promise<T> {
  using work = workFolder();
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(work.path, name)), { recursive: true });
    work.write(name, content);
  }
  return await use(treeReader(work.path, Object.keys(files)), work.path);
}

function startOf(manifest: object, files: Files = {}): Promise<NodeStart | undefined> {
  return withTree({ 'package.json': JSON.stringify(manifest), ...files }, async (tree, folder) => {
    const read = await readPackageJson(tree);
    assert.ok(read !== undefined);
    return await nodeStart(
      {
        tree,
        settings: {},
        hints: {},
        environmentVars: {},
        fallbackName: 'app',
        context: sourceContext(folder),
      },
      read,
      'npm run',
    );
  });
}

test('a script names the programs of the scripts that it runs', () => {
  const scripts = {
    start: 'npm run build && NODE_ENV=production node dist/main.js',
    build: 'run-s clean compile',
    clean: 'rimraf dist',
    compile: 'tsc -p .',
    loop: 'npm run loop',
  };
  assert.deepEqual(
    scriptCommands(scripts, 'start').map(([program]) => program),
    ['npm', 'run-s', 'rimraf', 'tsc', 'node'],
  );
  assert.deepEqual(scriptCommands(scripts, 'loop'), [['npm']]);
});

const SITES: readonly (readonly [string, object, Files, string])[] = [
  [
    'browser-sync behind a script of its own, with the site in the repository',
    {
      scripts: { start: 'npm run build && node tools/serve.js', build: 'node tools/build.js' },
      dependencies: { bootstrap: '5' },
      devDependencies: { 'browser-sync': '2' },
    },
    { 'dist/index.html': '' },
    'dist',
  ],
  ['gulp', { scripts: { start: 'gulp', build: 'gulp build' }, devDependencies: { gulp: '4' } }, {}, 'dist'],
  [
    'Angular',
    { scripts: { start: 'ng serve', build: 'ng build' }, devDependencies: { '@angular/cli': '19' } },
    {},
    'dist',
  ],
  [
    'Vite with a start script',
    { scripts: { start: 'vite --port 3000', build: 'vite build' }, devDependencies: { vite: '6' } },
    {},
    'dist',
  ],
];
for (const [title, manifest, files, site] of SITES) {
  test(`a start script that serves for development gives way to the built site: ${title}`, async () => {
    const start = await startOf(manifest, files);
    assert.equal(start?.site, site);
    assert.equal(start.start, undefined);
  });
}

test('a server beside a bundler is started, not its site', async () => {
  const start = await startOf({
    scripts: { start: 'node server.js', build: 'vite build' },
    dependencies: { express: '5' },
    devDependencies: { vite: '6' },
  });
  assert.equal(start?.start, 'node server.js');
});

test('the script for production is taken where "start" needs packages for development', async () => {
  const manifest = {
    scripts: { start: 'nest start', 'start:prod': 'node dist/main', build: 'nest build' },
    dependencies: { '@nestjs/core': '11' },
    devDependencies: { '@nestjs/cli': '11', '@types/node': '24' },
  };
  assert.equal((await startOf(manifest))?.start, 'node dist/main');
});

test('packages for development stay where the only start script needs them', async () => {
  const start = await startOf({
    scripts: { start: 'node -r ts-node/register src/main.ts' },
    dependencies: { koa: '3' },
    devDependencies: { 'ts-node': '10', typescript: '5', eslint: '9' },
  });
  assert.deepEqual(start?.developmentPackages, ['ts-node']);
});

test('a port that stands in the program is found, one from a variable is not', async () => {
  const port = (text: string): Promise<number | undefined> =>
    withTree({ 'src/app.js': text }, (tree) => fixedPort(tree, 'node ./src/app', undefined));
  assert.equal(await port('app.listen(4321, () => {})'), 4321);
  assert.equal(await port('const port = 5005;\nserver.listen(port)'), 5005);
  assert.equal(await port('app.listen({ port: 4000 })'), 4000);
  assert.equal(await port('const port = process.env.PORT || 4000;\napp.listen(port)'), undefined);
});

const PYTHON: readonly (readonly [string, Files, readonly string[], string])[] = [
  [
    'a function that makes a Flask application',
    { 'shop/__init__.py': 'from flask import Flask\n\ndef create_app(config=None):\n    ...\n' },
    ['flask'],
    'flask --app shop run --host 0.0.0.0 --port $PORT',
  ],
  [
    'the same with gunicorn',
    { 'src/shop/__init__.py': 'def create_app():\n    ...\n' },
    ['flask', 'gunicorn'],
    "gunicorn --bind 0.0.0.0:$PORT 'shop:create_app()'",
  ],
];
for (const [title, files, packages, command] of PYTHON) {
  test(`a Python application is started by ${title}`, async () => {
    const start = await withTree(files, (tree, folder) =>
      pythonStart(
        {
          tree,
          settings: {},
          hints: {},
          environmentVars: {},
          fallbackName: 'app',
          context: sourceContext(folder),
        },
        { packages: new Set(packages), scripts: [] },
      ),
    );
    assert.equal(start.command, command);
  });
}

test('an application that Poetry describes as a package without files of that name is none', async () => {
  const text = '[tool.poetry]\nname = "web-shop"\n[build-system]\nrequires = ["poetry-core"]\n';
  const read = (files: Files): ReturnType<typeof readPyproject> =>
    withTree({ 'pyproject.toml': text, ...files }, (tree) => readPyproject(tree));
  assert.equal((await read({ 'app/main.py': '' }))?.buildRequirements, undefined);
  assert.deepEqual((await read({ 'web_shop/__init__.py': '' }))?.buildRequirements, ['poetry-core']);
});

test('a Go program that waits for no connection is no server', async () => {
  const module = (main: string): Promise<boolean | undefined> =>
    withTree(
      { 'go.mod': 'module a.example/x\n', 'main.go': `package main\n${main}` },
      async (tree) => (await readGoModule(tree))?.listens,
    );
  assert.equal(await module('func main() { http.ListenAndServe(":8080", nil) }'), true);
  assert.equal(await module('func main() { r := gin.Default(); r.Run() }'), true);
  assert.equal(await module('func main() { cmd.Start(); flag.Usage() }'), false);
});

test('a vendor folder that go.mod has left behind is not used', async () => {
  const fits = (version: string): Promise<boolean> =>
    withTree(
      {
        'go.mod': `module a.example/x\n\nrequire (\n\tb.example/y ${version}\n\tc.example/z v1.0.0 // indirect\n)\n`,
        'vendor/modules.txt':
          '# b.example/y v1.2.0\n## explicit\nb.example/y\n# c.example/z v1.0.0 => d.example/z v1.1.0\n',
      },
      (tree) => vendorFits(tree),
    );
  assert.equal(await fits('v1.2.0'), true);
  assert.equal(await fits('v1.3.0'), false);
});

test('a program that asks for arguments is told from one that fails', () => {
  assert.equal(saysItsUsage(2, ['Usage of probe:', '  -n int']), true);
  assert.equal(saysItsUsage(1, ['error: missing required argument FILE']), true);
  assert.equal(saysItsUsage(1, ['aborted: no format. use --help for more']), true);
  assert.equal(saysItsUsage(1, ["Error: Cannot find module 'express'"]), false);
  assert.equal(saysItsUsage(139, ['Usage: x']), false);
});

test('an application that writes beside its files is entered through a copy', () => {
  assert.deepEqual(enterLines('@app@', false), ['app=@app@', 'cd "$app"']);
  assert.match(enterLines('@app@', true).join('\n'), /mktemp -d "\$\{TMPDIR:-\/tmp\}\/app-XXXXXX"/);
});
