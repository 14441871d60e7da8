/** Lock files of package managers: what they name, and that no text makes a parser fail in an unexpected way. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isKilnError } from '../src/base/error.ts';
import { evaluateMarker } from '../src/source/dependencies/environment-marker.ts';
import {
  matchesIntegrity,
  sha512Integrity,
  strongestIntegrity,
} from '../src/source/dependencies/integrity.ts';
import { parseNpmrc } from '../src/npm/npm-configuration.ts';
import { isForPlatform, parseNpmLock } from '../src/source/dependencies/npm-lock.ts';
import { parsePnpmLock } from '../src/source/dependencies/pnpm-lock.ts';
import { parsePythonLock } from '../src/source/dependencies/python-lock.ts';
import { logicalLines } from '../src/source/dependencies/python-requirements.ts';
import { parseYarnBerryLock } from '../src/source/dependencies/yarn-berry-lock.ts';
import { parseYarnLock } from '../src/source/dependencies/yarn-lock.ts';
import { refusePrivateHost } from '../src/source/dependencies/refuse-private-host.ts';
import { parseAppSettings } from '../src/source/read-app-settings.ts';

const NPM = JSON.stringify({
  lockfileVersion: 3,
  packages: {
    '': { name: 'app' },
    'packages/a': { version: '1.0.0' },
    'node_modules/a': { resolved: 'packages/a', link: true },
    'node_modules/b': {
      version: '2.0.0',
      resolved: 'https://example.org/b/-/b-2.0.0.tgz',
      integrity: 'sha512-AA==',
    },
    'node_modules/b/node_modules/@s/c': {
      version: '3.0.0',
      integrity: 'sha512-AA==',
      os: ['darwin'],
      optional: true,
    },
    'node_modules/alias': { name: 'real', version: '1.0.0', inBundle: true },
    'node_modules/local': { version: '1.0.0', resolved: 'file:local.tgz' },
    'node_modules/musl': { version: '1.0.0', libc: ['musl'], cpu: ['x64'], os: ['linux'] },
  },
});

test('a lock of npm gives what has to be downloaded, not links, bundles or files of the source', () => {
  const { packages } = parseNpmLock(NPM, 'package-lock.json');
  assert.deepEqual(
    packages.map(({ location, name }) => [location, name]),
    [
      ['node_modules/b', 'b'],
      ['node_modules/b/node_modules/@s/c', '@s/c'],
      ['node_modules/musl', 'musl'],
    ],
  );
});

test('packages for other systems, processors and C libraries are left out', () => {
  const { packages } = parseNpmLock(NPM, 'package-lock.json');
  const wanted = packages.filter((entry) => isForPlatform(entry, { cpu: 'x64', libc: 'glibc' }));
  assert.deepEqual(
    wanted.map((entry) => entry.name),
    ['b'],
  );
});

test('the first version of the lock nests its packages', () => {
  const text = JSON.stringify({
    lockfileVersion: 1,
    dependencies: { a: { version: '1.0.0', dependencies: { b: { version: '2.0.0' } } } },
  });
  assert.deepEqual(
    parseNpmLock(text, 'l').packages.map((entry) => entry.location),
    ['node_modules/a', 'node_modules/a/node_modules/b'],
  );
});

test('a name that is a path is refused', () => {
  const text = JSON.stringify({
    lockfileVersion: 3,
    packages: { 'node_modules/x': { name: '../../etc', version: '1.0.0' } },
  });
  assert.throws(() => parseNpmLock(text, 'package-lock.json'), /is not a package name/);
});

test('a lock of yarn 1 gives names, addresses and integrity, with SHA-1 where there is nothing better', () => {
  const text = `# yarn lockfile v1\n\n"@s/a@^1.0.0", "@s/a@^1.1.0":\n  version "1.1.0"\n  resolved "https://example.org/@s/a/-/a-1.1.0.tgz#${'0'.repeat(40)}"\n  integrity sha512-AA==\n  dependencies:\n    b "^2.0.0"\n\nb@^2.0.0:\n  version "2.0.1"\n  resolved "https://example.org/b/-/b-2.0.1.tgz#${'f'.repeat(40)}"\n`;
  const found = parseYarnLock(text, 'yarn.lock');
  assert.deepEqual(
    found.map(({ name, version }) => [name, version]),
    [
      ['@s/a', '1.1.0'],
      ['b', '2.0.1'],
    ],
  );
  assert.equal(found[0]?.integrity, 'sha512-AA==');
  assert.match(found[1]?.integrity ?? '', /^sha1-/);
});

test('the lock of a newer yarn gives names and versions for this platform, and refuses what no registry has', () => {
  const entry = (resolution: string, more = ''): string =>
    `"x":\n  version: 1.0.0\n  resolution: "${resolution}"\n${more}  linkType: hard\n`;
  const lock = [
    '__metadata:\n  version: 8\n',
    entry('app@workspace:.'),
    entry('@a/b@npm:1.2.3'),
    entry('fsevents@npm:2.3.3', '  conditions: os=darwin\n'),
    entry('fsevents@patch:fsevents@npm%3A2.3.3#builtin<compat/fsevents>'),
  ].join('\n');
  const read = parseYarnBerryLock(lock, 'yarn.lock');
  assert.deepEqual(
    read
      .filter((found) => isForPlatform(found, { cpu: 'x64', libc: 'glibc' }))
      .map(({ location }) => location),
    ['@a/b@1.2.3'],
  );
  assert.equal(read.length, 2);
  assert.throws(
    () => parseYarnBerryLock(`${lock}\n${entry('c@https://github.com/a/c.git#commit=1')}`, 'yarn.lock'),
    (error) => isKilnError(error) && error.code === 'dependency-fetch',
  );
});

test('locks of pnpm 6 and 9 give names, versions and integrity', () => {
  const nine =
    "lockfileVersion: '9.0'\n\npackages:\n\n  '@s/a@1.0.0':\n    resolution: {integrity: sha512-AA==}\n    engines: {node: '>=8'}\n    os: [darwin]\n\n  b@2.0.0:\n    resolution: {integrity: sha512-BB==, tarball: https://example.org/b.tgz}\n\nsnapshots:\n\n  b@2.0.0: {}\n";
  const found = parsePnpmLock(nine, 'l');
  assert.deepEqual(
    found.map(({ name, version, integrity }) => [name, version, integrity]),
    [
      ['@s/a', '1.0.0', 'sha512-AA=='],
      ['b', '2.0.0', 'sha512-BB=='],
    ],
  );
  assert.deepEqual(found[0]?.os, ['darwin']);
  const six =
    "lockfileVersion: '6.0'\n\npackages:\n\n  /c@1.2.3(react@18.0.0):\n    resolution: {integrity: sha512-CC==}\n    dev: false\n";
  assert.deepEqual(
    parsePnpmLock(six, 'l').map(({ name, version }) => [name, version]),
    [['c', '1.2.3']],
  );
});

test('uv.lock gives what is reached from the application, without its development', () => {
  const text = `version = 1
[[package]]
name = "app"
version = "0.1.0"
source = { virtual = "." }
dependencies = [{ name = "web", extra = ["fast"] }, { name = "win", marker = "sys_platform == 'win32'" }]
[package.dev-dependencies]
dev = [{ name = "pytest" }]
[[package]]
name = "web"
version = "1.0"
source = { registry = "https://example.org/simple" }
wheels = [{ url = "https://example.org/web.whl", hash = "sha256:aa" }]
[package.optional-dependencies]
fast = [{ name = "loop" }]
[[package]]
name = "loop"
version = "2.0"
wheels = [{ hash = "sha256:bb" }]
[[package]]
name = "win"
version = "3.0"
[[package]]
name = "pytest"
version = "4.0"
`;
  const found = parsePythonLock('uv.lock', text);
  assert.deepEqual(
    found.map(({ name, hashes }) => [name, hashes]),
    [
      ['web', ['sha256:aa']],
      ['win', []],
      ['loop', ['sha256:bb']],
    ],
  );
  assert.equal(found.find((entry) => entry.name === 'win')?.marker, "((sys_platform == 'win32'))");
});

test('a lock of an old Poetry keeps the files of its packages apart', () => {
  const lock = `[[package]]
name = "alembic"
version = "1.8.1"
category = "main"
optional = false

[[package]]
name = "black"
version = "22.6.0"
category = "dev"
optional = false

[metadata]
lock-version = "1.1"

[metadata.files]
alembic = [
    {file = "alembic-1.8.1-py3-none-any.whl", hash = "sha256:00"},
]
black = []
`;
  assert.deepEqual(parsePythonLock('poetry.lock', lock), [
    { name: 'alembic', version: '1.8.1', hashes: ['sha256:00'] },
  ]);
});

test('environment markers are evaluated for the packaged Python', () => {
  const environment = { python: '3.13', machine: 'x86_64' };
  const table: readonly (readonly [string, boolean | undefined])[] = [
    ["python_version < '3.9'", false],
    ["python_version >= '3.10' and sys_platform != 'win32'", true],
    ["(platform_machine == 'aarch64') or (os_name == 'posix')", true],
    ["python_full_version < '3.11.3'", false],
    ["sys_platform in 'linux darwin'", true],
    ["platform_python_implementation not in 'PyPy'", true],
    ['something odd', undefined],
  ];
  for (const [marker, expected] of table) assert.equal(evaluateMarker(marker, environment), expected, marker);
});

test('integrity compares the strongest algorithm only', () => {
  const content = Buffer.from('x');
  const good = sha512Integrity(content);
  assert.equal(matchesIntegrity(content, `sha1-AAAAAAAAAAAAAAAAAAAAAAAAAAA= ${good}`), true);
  assert.equal(matchesIntegrity(Buffer.from('y'), good), false);
  assert.equal(matchesIntegrity(content, ''), false);
  assert.equal(strongestIntegrity(`sha1-AA== ${good}`).length, 1);
});

test('a lock cannot name this machine or its network as the place to download from', async () => {
  for (const address of [
    'http://127.0.0.1/x.tgz',
    'http://169.254.169.254/latest',
    'https://[::1]/x',
    'http://localhost:5000/x',
  ]) {
    await assert.rejects(
      refusePrivateHost(address),
      (error) => isKilnError(error) && error.code === 'forbidden',
      address,
    );
  }
});

test('an .npmrc is read with its comments, lists and variables', () => {
  const text =
    '; comment\nregistry = https://example.org/npm\n//example.org/:_authToken=${TOKEN}\nca[]="a"\nca[]="b"\nstrict-ssl\n';
  assert.deepEqual(parseNpmrc(text, { TOKEN: 't' }), {
    registry: 'https://example.org/npm',
    '//example.org/:_authToken': 't',
    ca: ['a', 'b'],
    'strict-ssl': 'true',
  });
});

test('requirements join continued lines and lose their comments', () => {
  assert.deepEqual(logicalLines('a==1 \\\n  --hash=sha256:aa # x\n# y\n\nb#c\n'), [
    'a==1    --hash=sha256:aa',
    'b#c',
  ]);
});

test('whatever the text, a parser answers or refuses with an error made for it', () => {
  const words = fc.constantFrom(
    'packages:',
    '  a@1.0.0:',
    '    resolution: {integrity: x}',
    '[[package]]',
    'name = "a"',
    '{',
    '}',
    '"a@1":',
    '  version "1"',
    "lockfileVersion: '9.0'",
    '__proto__',
    '"packages":',
    '<<<<<<< a',
    '\u0000',
    ':',
  );
  const text = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(fc.oneof(words, fc.string()), { maxLength: 12 }).map((lines) => lines.join('\n')),
    fc.json(),
  );
  const parsers: readonly ((input: string) => unknown)[] = [
    (input) => parseNpmLock(input, 'l'),
    (input) => parseYarnLock(input, 'l'),
    (input) => parsePnpmLock(input, 'l'),
    (input) => parsePnpmLock(`lockfileVersion: '9.0'\npackages:\n${input}`, 'l'),
    (input) => parsePythonLock('uv.lock', input),
    (input) => parsePythonLock('poetry.lock', input),
    (input) => parsePythonLock('Pipfile.lock', input),
    (input) => parseAppSettings(input),
    (input) => evaluateMarker(input, { python: '3.13', machine: 'x86_64' }),
  ];
  fc.assert(
    fc.property(text, fc.constantFrom(...parsers), (input, parser) => {
      try {
        parser(input);
      } catch (error) {
        if (!isKilnError(error)) throw error;
      }
    }),
    { numRuns: 600 },
  );
});
