/** Applications without a lock, with an old one, and with packages that have no ready-made build: built in the sandbox. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { buildSource, type BuiltSource } from './harness/build-source.ts';
import { workFolder } from './harness/work-folder.ts';

async function build(files: Readonly<Record<string, string>>): Promise<BuiltSource> {
  using work = workFolder();
  mkdirSync(join(work.path, 'app'));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(work.path, 'app', name), content);
  return await buildSource({ kind: 'directory', path: join(work.path, 'app') }, work.path);
}

function run(program: string): string {
  return execFileSync(realpathSync(program), { encoding: 'utf8', env: {} }).trim();
}

const MAIN = 'console.log(require("is-odd")(3), require("is-odd/package.json").version)';

test('an application without a lock is resolved once, and says so', async () => {
  const { source, out } = await build({
    'package.json': JSON.stringify({
      name: 'loose',
      scripts: { start: 'node main.js' },
      dependencies: { 'is-odd': '~3.0.0' },
    }),
    'main.js': MAIN,
  });
  assert.equal(run(join(out, 'bin', 'loose')), 'true 3.0.1');
  assert.match(source.expression ?? '', /npm ci/);
});

test('a lock of npm 6 installs what it names', async () => {
  const integrity = (text: string): { integrity: string } => ({ integrity: text });
  const { out } = await build({
    'package.json': JSON.stringify({
      name: 'old',
      scripts: { start: 'node main.js' },
      dependencies: { 'is-odd': '^3.0.0' },
    }),
    'package-lock.json': JSON.stringify({
      name: 'old',
      lockfileVersion: 1,
      requires: true,
      dependencies: {
        'is-number': {
          version: '6.0.0',
          ...integrity(
            'sha512-Wu1VHeILBK8KAWJUAiSZQX94GmOE45Rg6/538fKwiloUu21KncEkYGPqob2oSZ5mUT73vLGrHQjKw3KMPwfDzg==',
          ),
        },
        'is-odd': {
          version: '3.0.1',
          ...integrity(
            'sha512-CQpnWPrDwmP1+SMHXZhtLtJv90yiyVfluGsX5iNCVkrhQtU3TQHsUWPG9wkdk9Lgd5yNpAg9jQEo90CBaXgWMA==',
          ),
          requires: { 'is-number': '^6.0.0' },
        },
      },
    }),
    'main.js': MAIN,
  });
  assert.equal(run(join(out, 'bin', 'old')), 'true 3.0.1');
});

test('a Python package without a wheel is built in the sandbox, and the application may write beside its files', async () => {
  const { out } = await build({
    'requirements.txt': 'docopt==0.6.2\n',
    'main.py':
      'import docopt, os\nopen("note.txt", "w").write("kept")\nprint(docopt.__version__, os.path.exists("note.txt"))\n',
    'kiln.toml': '[build]\nwritable = true\n',
  });
  assert.equal(run(join(out, 'bin', 'app')), '0.6.2 True');
  assert.match(readFileSync(join(out, 'bin', 'app'), 'utf8'), /mktemp/);
});
