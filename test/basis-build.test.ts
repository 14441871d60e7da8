import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { basisPath } from '../src/basis/basis-path.ts';
import { provideFixedOutputs } from '../src/basis/provide-fixed-outputs.ts';
import { nixOnPath, type NixInstallation } from '../src/nix/nix-installation.ts';
import { runNix } from '../src/nix/run-nix.ts';
import { runChecked, runProcess } from '../src/process/run-process.ts';
import { debianDirectory } from '../src/setup/kiln-home.ts';

let nix: NixInstallation;
let folder: string;

before(async () => {
  nix = await nixOnPath();
  folder = await mkdtemp(join(tmpdir(), 'kiln-basis-'));
});
after(() => rm(folder, { recursive: true, force: true }));

async function succeed(program: string, args: readonly string[]): Promise<string> {
  const result = await runNix(nix, program, args);
  assert.equal(result.exitCode, 0, result.stderr.slice(-4000));
  return result.stdout.trim();
}

const instantiate = (expression: string): Promise<string> =>
  succeed('nix-instantiate', [
    '-I',
    `nixpkgs=${basisPath()}`,
    '--add-root',
    join(folder, `drv-${performance.now()}`),
    '-E',
    expression,
  ]);

/** Evaluates, provides the sources and builds; gives the output path, which is kept until the tests end. */
async function build(expression: string): Promise<string> {
  const drv = await instantiate(expression);
  await provideFixedOutputs(drv, { nix, debianFolder: debianDirectory() });
  return await readRoot(
    await succeed('nix-store', ['--realise', '--add-root', join(folder, `out-${performance.now()}`), drv]),
  );
}

const readRoot = async (link: string): Promise<string> =>
  (await runChecked('readlink', ['-f', link])).stdout.trim();

const closure = async (path: string): Promise<string[]> =>
  (await succeed('nix-store', ['--query', '--requisites', path])).split('\n');

const print = async (program: string, args: readonly string[]): Promise<string> => {
  const result = await runProcess(program, args, { env: {} });
  assert.equal(result.exitCode, 0, result.stderr);
  return result.stdout;
};

test('the expression of the first example builds a folder without a Makefile, whose files are the result', async () => {
  const source = join(folder, 'plain');
  await mkdir(source);
  await writeFile(join(source, 'index.js'), '#!/usr/bin/env node\nconsole.log("started")\n', { mode: 0o755 });
  const out = await build(`
    with import <nixpkgs> {};
    stdenv.mkDerivation { name = "my-app"; src = ${source}; buildInputs = [ nodejs ]; }`);
  assert.equal(await print(join(out, 'index.js'), []), 'started\n');
  const inputs = await closure(out);
  assert.ok(inputs.length <= 4, inputs.join('\n'));
});

test('the same expression runs the install target of a Makefile', async () => {
  const source = join(folder, 'made');
  await mkdir(source);
  await writeFile(
    join(source, 'Makefile'),
    'all:\n\tnode -p 6*7 > answer\ninstall:\n\tcp answer $(out)/answer\n',
  );
  const out = await build(`
    with import <nixpkgs> {};
    stdenv.mkDerivation { name = "my-app"; src = ${source}; buildInputs = [ nodejs ]; }`);
  assert.equal(await readFile(join(out, 'answer'), 'utf8'), '42\n');
});

test('a C program that uses a library runs with its interpreter and libraries in the store, and needs no compiler', async () => {
  const source = join(folder, 'c');
  await mkdir(source);
  await writeFile(
    join(source, 'main.c'),
    `#include <stdio.h>\n#include <pthread.h>\n#include <zlib.h>
     static void *end(void *x) { pthread_exit(x); }
     int main(void) { pthread_t t; pthread_create(&t, 0, end, 0); pthread_join(t, 0); puts(zlibVersion()); return 0; }\n`,
  );
  await writeFile(
    join(source, 'Makefile'),
    'main: main.c\n\t$(CC) -o main main.c -lz\ninstall: main\n\tinstall -D main $(PREFIX)/bin/main\n',
  );
  const out = await build(`
    with import <nixpkgs> {};
    stdenv.mkDerivation (final: {
      pname = "main"; version = "1"; src = ${source}; buildInputs = [ zlib ];
      makeFlags = [ "PREFIX=\${placeholder "out"}" ];
      doInstallCheck = true;
      installCheckPhase = "patchelf --print-interpreter $out/bin/main | grep ^/nix/store/";
    })`);
  assert.match(await print(join(out, 'bin/main'), []), /^1\./);
  const names = (await closure(out)).map((path) => path.slice(44).replace(/-[\d.]+$/, ''));
  assert.deepEqual(names.toSorted(), ['glibc', 'main', 'zlib1g']);
});

test('Node runs, stands on the C and C++ libraries alone, and brings npm', async () => {
  const out = await build('(import <nixpkgs> {}).nodejs');
  assert.equal(
    await print(join(out, 'bin/node'), ['-e', 'console.log(new URL("http://a/b").pathname)']),
    '/b\n',
  );
  assert.match(await print(join(out, 'bin/npm'), ['--version']), /^\d+\./);
  assert.ok((await closure(out)).length <= 4);
});

test('Python runs with TLS and SQLite, and an environment finds the packages it was made with', async () => {
  const out = await build('(import <nixpkgs> {}).python3.withPackages (p: [ p.flask ])');
  const code = 'import ssl, sqlite3, flask, json; print(ssl.OPENSSL_VERSION, sqlite3.sqlite_version)';
  assert.match(await print(join(out, 'bin/python3'), ['-c', code]), /^OpenSSL 3\S* .* 3\.\d+/);
});

test('a shell application finds its inputs, and an overridden derivation has the new attributes', async () => {
  const out = await build(`
    with import <nixpkgs> { overlays = [ (final: prev: { greeting = "from an overlay"; }) ]; };
    let text = (runCommand "text" { word = "old"; } "echo $word > $out").overrideAttrs (old: { word = "\${old.word} and new"; }); in
    writeShellApplication { name = "show"; runtimeInputs = [ jq ]; text = "jq -R . \${text}; echo '\${greeting}'"; }`);
  assert.equal(await print(join(out, 'bin/show'), []), '"old and new"\nfrom an overlay\n');
});

test('an archive name that is not in the basis is refused with its name', async () => {
  const result = await runNix(nix, 'nix-instantiate', [
    '-I',
    `nixpkgs=${basisPath()}`,
    '-E',
    '(import <nixpkgs> {}).callPackage ({ nosuchpackage }: nosuchpackage) {}',
  ]);
  assert.match(result.stderr, /the basis has no nosuchpackage/);
});

/** A fixed-output derivation for the same file as a package of the lock, under a name no other test uses. */
const sourceNamed = (name: string, hash: string): string => `
  let
    lock = (builtins.fromJSON (builtins.readFile ${basisPath()}/lock.json)).systems.x86_64-linux.debs.gzip;
  in derivation {
    name = "${name}"; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" "exit 1" ];
    outputHashMode = "flat"; outputHashAlgo = "sha256"; outputHash = ${hash};
    kilnProvide = "deb";
    kilnSource = builtins.toJSON { name = "gzip"; inherit (lock) version architecture sha256 size filename suite; };
  }`;

test('only what is missing is fetched, and nothing a second time', async () => {
  const name = `kiln-test-${process.pid}-${Date.now()}.deb`;
  const drv = await instantiate(sourceNamed(name, 'lock.sha256'));
  const options = { nix, debianFolder: debianDirectory() };
  const first = await provideFixedOutputs([drv], options);
  assert.equal(first.added.length, 1);
  assert.ok(first.added[0]?.endsWith(name));
  assert.deepEqual(await provideFixedOutputs([drv], options), { added: [], bytes: 0 });
  await succeed('nix-store', ['--delete', ...first.added]);
});

test('a file that is not what the derivation asks for is refused', async () => {
  const drv = await instantiate(sourceNamed('kiln-test-wrong.deb', `"${'0'.repeat(64)}"`));
  await assert.rejects(provideFixedOutputs(drv, { nix, debianFolder: debianDirectory() }), {
    code: 'hash-mismatch',
    message: /kiln-test-wrong\.deb/,
  });
});

test('as a flake it has packages and lib for each locked system', async () => {
  const shown = await succeed('nix', [
    '--extra-experimental-features',
    'nix-command flakes',
    'eval',
    '--json',
    `path:${basisPath()}#legacyPackages`,
    '--apply',
    'all: builtins.mapAttrs (_: pkgs: pkgs.nodejs.version) all',
  ]);
  const versions = JSON.parse(shown) as Record<string, string>;
  assert.deepEqual(Object.keys(versions).toSorted(), ['aarch64-linux', 'x86_64-linux']);
});
