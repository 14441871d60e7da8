import assert from 'node:assert/strict';
import { chmod, cp, mkdir, mkdtemp, readFile, rm, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { runProcess, type ProcessResult } from '../src/process/run-process.ts';

const ROOT = join(import.meta.dirname, '..');
let checkout: string;
let calls: string;

/** A checkout with the real launcher and set-up, a program that prints what it got, and an `npm` that only notes calls. */
before(async () => {
  checkout = await mkdtemp(join(tmpdir(), 'kiln checkout-'));
  calls = join(checkout, 'npm-calls');
  for (const path of ['bin/kiln', 'scripts', 'package-lock.json', 'tools/node/package-lock.json']) {
    await cp(join(ROOT, path), join(checkout, path), { recursive: true });
  }
  await writeFile(join(checkout, 'package.json'), '{ "type": "module" }');
  await mkdir(join(checkout, 'src/cli'), { recursive: true });
  await writeFile(
    join(checkout, 'src/cli/main.ts'),
    'const args: string[] = process.argv.slice(2);\nconsole.log(JSON.stringify({ args, cwd: process.cwd() }));\n',
  );
  await mkdir(join(checkout, 'fake'));
  await writeFile(join(checkout, 'fake/npm'), `#!/bin/sh\necho "$@" >>'${calls}'\n`);
  await chmod(join(checkout, 'fake/npm'), 0o755);
});
after(() => rm(checkout, { recursive: true, force: true }));

function kiln(
  program: string,
  args: readonly string[],
  extra: Record<string, string> = {},
): Promise<ProcessResult> {
  const path = [join(checkout, 'fake'), join(process.execPath, '..'), '/usr/bin', '/bin'].join(':');
  return runProcess(program, args, {
    cwd: tmpdir(),
    env: { ...process.env, PATH: path, KILN_NO_INSTALL: '', ...extra },
  });
}

test('where nothing may be installed, a fresh checkout says what to run', async () => {
  const result = await kiln(join(checkout, 'bin/kiln'), [], { KILN_NO_INSTALL: '1' });
  assert.equal(result.exitCode, 3);
  assert.match(result.stderr, /npm packages are missing[\s\S]*npm ci --prefix/);
});

test('the first start sets the checkout up and says so, the next one does not ask npm', async () => {
  const first = await kiln(join(checkout, 'bin/kiln'), ['a b', '--json']);
  assert.match(first.stderr, /installing the npm packages/);
  assert.deepEqual(JSON.parse(first.stdout), { args: ['a b', '--json'], cwd: tmpdir() });
  assert.match(await readFile(calls, 'utf8'), /^ci /);
  await rm(calls);
  const second = await kiln(join(checkout, 'bin/kiln'), []);
  assert.equal(second.stderr, '');
  await assert.rejects(stat(calls), 'npm was not called');
});

test('it is found through symbolic links, also relative ones to links', async () => {
  await mkdir(join(checkout, 'links'), { recursive: true });
  await symlink('../bin/kiln', join(checkout, 'links/one'));
  await symlink('one', join(checkout, 'links/two'));
  const result = await kiln(join(checkout, 'links/two'), ['x']);
  assert.deepEqual(JSON.parse(result.stdout).args, ['x']);
});

test('a lock that was only touched costs nothing, a changed one is installed', async () => {
  const lock = join(checkout, 'package-lock.json');
  const later = new Date(Date.now() + 5000);
  await utimes(lock, later, later);
  assert.equal((await kiln(join(checkout, 'bin/kiln'), [])).exitCode, 0);
  await assert.rejects(stat(calls), 'npm was not called');
  const text = `${await readFile(lock, 'utf8')}\n`;
  await writeFile(lock, text);
  await utimes(lock, later, later);
  assert.match((await kiln(join(checkout, 'bin/kiln'), [])).stderr, /installing/);
  const stamp = await readFile(join(checkout, 'node_modules/.kiln-setup'), 'utf8');
  assert.ok(stamp.includes(createHash('sha256').update(text).digest('hex')));
});
