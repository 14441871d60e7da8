import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, beforeEach, test } from 'node:test';
import { runChecked, runProcess } from '../src/process/run-process.ts';
import { findPrefix, neededPackages } from '../src/setup/debian-prefix.ts';
import { findNix, isAtLeast, NIX_PREFIX, parseNixVersion } from '../src/setup/find-nix.ts';
import { installNix } from '../src/setup/install-nix.ts';
import { installCrun } from '../src/setup/install-crun.ts';

let folder: string;
let home: string;
let env: Record<string, string | undefined>;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kiln-setup-'));
});
after(() => rm(folder, { recursive: true, force: true }));
beforeEach(async () => {
  home = await mkdtemp(join(folder, 'home-'));
  // The user's data folder would be searched too.
  env = { ...process.env, KILN_HOME: home, XDG_DATA_HOME: join(home, 'data'), KILN_NO_INSTALL: undefined };
});

test('a killed installation does not count, and the next one is whole, relocated and sandboxed', async () => {
  await killDuringInstall();
  const tools = join(home, 'tools');
  const leftovers = (await readdir(tools)).filter((name) => name.startsWith('.nix-'));
  assert.equal(leftovers.length, 1, 'it was killed while it unpacked');
  assert.equal(await findPrefix(NIX_PREFIX, env), undefined);

  const lines: string[] = [];
  const nix = await installNix({ env, onProgress: (line) => lines.push(line) });
  assert.match(lines.join('\n'), /^installing Nix \S+ from Debian \(\d+ packages, .+\) into /m);
  assert.ok(!(await readdir(tools)).includes(leftovers[0] ?? ''), 'what the killed one left is removed');
  assert.ok(isAtLeast(nix.version, '2.24'));

  const child = { ...env, ...nix.env };
  const traced = await runChecked('nix', [], { env: { ...child, LD_TRACE_LOADED_OBJECTS: '1' } });
  const libraries = traced.stdout.split('\n').filter((line) => line.includes('=> /'));
  assert.ok(libraries.length > 20);
  assert.deepEqual(
    libraries.filter((line) => !line.includes(`=> ${tools}/`)),
    [],
    'every library is its own',
  );
  for (const name of ['nix-build', 'nix-store', 'nix-instantiate', 'nix-prefetch-url']) {
    assert.equal((await runProcess(name, ['--version'], { env: child })).exitCode, 0, name);
  }
  const again = await installNix({ env, onProgress: (line) => assert.fail(line) });
  assert.equal(again.binDir, nix.binDir);
  const conf = await readFile(join(nix.confDir ?? '', 'nix.conf'), 'utf8');
  assert.match(conf, /^sandbox = true$/m);
  assert.match(conf, /^sandbox-fallback = false$/m);

  await rename(home, `${home}-moved`);
  const moved = { ...env, KILN_HOME: `${home}-moved` };
  assert.equal(await findPrefix(NIX_PREFIX, moved), undefined, 'a moved prefix could not start its programs');
});

/** Starts an installation in a process of its own and kills that once its prefix is being filled. */
async function killDuringInstall(): Promise<void> {
  const script = `
    const { installPrefix } = await import(${JSON.stringify(join(import.meta.dirname, '../src/setup/debian-prefix.ts'))});
    await installPrefix({
      name: 'nix', title: 'Nix', program: 'usr/bin/nix', main: 'nix-bin', packages: ['patchelf', 'busybox-static'],
      complete: () => { console.log('unpacked'); return new Promise((done) => setTimeout(done, 60_000)); },
    }, {});`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
    env: env as NodeJS.ProcessEnv,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface({ input: child.stdout }))
    if (line === 'unpacked') child.kill('SIGKILL');
  if (child.signalCode === null && child.exitCode === null) await once(child, 'exit');
  assert.equal(child.signalCode, 'SIGKILL');
}

test('without permission to install, the refusal says what to install', async () => {
  const forbidden = { ...env, KILN_NO_INSTALL: '1' };
  await assert.rejects(installNix({ env: forbidden }), (error: Error & { code?: string; hint?: string }) => {
    assert.equal(error.code, 'tool-missing');
    assert.match(error.hint ?? '', /nix-bin/);
    return true;
  });
  await assert.rejects(installCrun({ env: forbidden }), { code: 'tool-missing' });
  assert.deepEqual(await readdir(home), [], 'nothing was written');
});

test('a container runtime is installed and runs', async () => {
  const runtime = await installCrun({ env });
  assert.equal(runtime.name, 'crun');
  assert.ok(runtime.path.startsWith(home));
  const { stdout } = await runProcess(runtime.path, ['--version']);
  assert.match(stdout, /^crun version \d/);
});

test('a Nix on PATH is used if it is recent enough, and passed over if it is not or does not run', async () => {
  const place = async (name: string, script: string): Promise<string> => {
    const bin = join(home, name);
    await mkdir(bin);
    await writeFile(join(bin, 'nix'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    return bin;
  };
  const old = await place('old', 'echo "nix (Nix) 2.18.1"');
  const broken = await place('broken', 'exit 1');
  const recent = await place('recent', 'echo "nix (Nix) 2.31.2"');
  const found = await findNix({ env: { ...env, PATH: [old, broken, recent, '/usr/bin', '/bin'].join(':') } });
  assert.equal(found?.binDir, recent);
  assert.equal(found?.version, '2.31.2');
  assert.equal(found?.confDir, undefined);
});

test('the version is read from what each kind of Nix prints', () => {
  assert.equal(parseNixVersion('nix (Nix) 2.26.3\n'), '2.26.3');
  assert.equal(parseNixVersion('nix (Lix, like Nix) 2.91.1'), '2.91.1');
  assert.equal(parseNixVersion('nix (Determinate Nix 3.8.5) 2.30.2'), '2.30.2');
  assert.equal(parseNixVersion('nix (Nix) 2.32.0pre20250901_abcdef'), '2.32.0');
  assert.equal(parseNixVersion('something else'), undefined);
  assert.ok(isAtLeast('2.24', '2.24') && isAtLeast('2.24.1', '2.24') && isAtLeast('3.0', '2.24'));
  assert.ok(!isAtLeast('2.9.9', '2.24'));
});

test('only a link to a prefix in the same tools folder is a prefix', async () => {
  const tools = join(home, 'tools');
  const make = async (directory: string): Promise<string> => {
    await mkdir(join(directory, 'usr/bin'), { recursive: true });
    await writeFile(join(directory, 'usr/bin/nix'), '', { mode: 0o755 });
    return directory;
  };
  await make(join(tools, 'nix-9.0'));
  await symlink(await make(join(folder, 'elsewhere')), join(tools, 'nix-8.0'));
  await symlink(join(tools, '.nix-7.0.gone'), join(tools, 'nix-7.0'));
  assert.equal(await findPrefix(NIX_PREFIX, env), undefined);
  for (const version of ['2.9.1', '2.26.3+dfsg-1']) {
    await symlink(await make(join(tools, `.nix-${version}.x`)), join(tools, `nix-${version}`));
  }
  assert.equal((await findPrefix(NIX_PREFIX, env))?.version, '2.26.3+dfsg-1', 'the newest by number');
});

test('a prefix takes the libraries along, not the programs that Debian would install beside them', () => {
  const deb = (name: string, dependencies: string[]) => ({
    name,
    dependencies,
    version: '1',
    architecture: 'all',
    sha256: '0'.repeat(64),
    size: 1,
    filename: 'f',
    suite: 's',
  });
  const closure = [
    deb('libc6', []),
    deb('libx', ['zlib1g', 'passwd']),
    deb('liby-perl', []),
    deb('main', ['libx', 'liby-perl', 'perl']),
    deb('passwd', ['libpam']),
    deb('libpam', []),
    deb('perl', []),
    deb('zlib1g', ['libc6']),
  ];
  assert.deepEqual(
    neededPackages(closure, ['main']).map(({ name }) => name),
    ['libc6', 'libx', 'main', 'zlib1g'],
  );
});
