import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { isKilnError, type KilnError } from '../src/base/error.ts';
import { closestMatches } from '../src/base/closest-match.ts';
import { describeSettings, renderReference } from '../src/config/describe-settings.ts';
import { loadAppSettings, parseAppSettings } from '../src/config/load-app-settings.ts';
import { loadServerSettings, type LoadedSettings } from '../src/config/load-server-settings.ts';

function folder(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'kiln-test-config-'));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

function problem(work: () => unknown): KilnError {
  try {
    work();
  } catch (error) {
    assert.ok(isKilnError(error), String(error));
    assert.equal(error.code, 'invalid-config');
    return error;
  }
  return assert.fail('it did not fail');
}

async function load(text: string, env: Readonly<Record<string, string>> = {}): Promise<LoadedSettings> {
  using home = folder();
  writeFileSync(join(home.path, 'kiln.toml'), text);
  return await loadServerSettings({ env: { KILN_HOME: home.path, ...env } });
}

test('an application without settings has none, and one with settings gets them typed', async () => {
  using work = folder();
  assert.deepEqual(await loadAppSettings(work.path), {});
  writeFileSync(
    join(work.path, 'kiln.toml'),
    '[image]\nports = [8080]\n[health]\nhttp = "/"\ntimeout = "30s"\n',
  );
  assert.deepEqual(await loadAppSettings(work.path), {
    image: { ports: [8080] },
    health: { http: '/', timeout: '30s' },
  });
});

test('a settings file that is a link out of the repository is not read', async () => {
  using work = folder();
  writeFileSync(join(work.path, 'outside'), 'root:hunter2\n');
  mkdirSync(join(work.path, 'repository'));
  symlinkSync('../outside', join(work.path, 'repository', 'kiln.toml'));
  await assert.rejects(loadAppSettings(join(work.path, 'repository')), (error) => {
    assert.ok(isKilnError(error) && error.code === 'invalid-config');
    assert.doesNotMatch(`${error.message}${error.where}`, /hunter2/);
    return true;
  });
  writeFileSync(join(work.path, 'repository', 'real.toml'), '[build]\nattr = "web"\n');
  rmSync(join(work.path, 'repository', 'kiln.toml'));
  symlinkSync('real.toml', join(work.path, 'repository', 'kiln.toml'));
  assert.deepEqual(await loadAppSettings(join(work.path, 'repository')), { build: { attr: 'web' } });
});

test("every mistake in an application's settings is reported with its line and a suggestion", () => {
  const error = problem(() =>
    parseAppSettings(
      [
        '[build]',
        'atr = "web"',
        '',
        '[image]',
        'ports = [80, 99999]',
        'user = "root"',
        '',
        '[helth]',
        'http = "/"',
        '',
        '[health]',
        'timeout = "30"',
      ].join('\n'),
    ),
  );
  assert.equal(error.message, 'The settings hold 5 mistakes');
  const lines = (error.where ?? '').split('\n').toSorted();
  assert.equal(lines.length, 5);
  assert.match(error.where ?? '', /^kiln\.toml:2: unknown setting "build\.atr"; did you mean "attr"\?$/m);
  assert.match(error.where ?? '', /^kiln\.toml:5: image\.ports\.1: /m);
  assert.match(error.where ?? '', /^kiln\.toml:6: image\.user: /m);
  assert.match(error.where ?? '', /^kiln\.toml:8: unknown setting "helth"; did you mean "health"\?$/m);
  assert.match(error.where ?? '', /^kiln\.toml:12: health\.timeout: "30" is not a duration/m);
});

test('text that is not TOML is shown with its line and column', () => {
  const error = problem(() => parseAppSettings('[build]\nfile = default.nix\n'));
  assert.match(error.where ?? '', /^kiln\.toml:2:\d+\n/);
  assert.match(error.where ?? '', /file = default\.nix/);
});

test('any text is either settings or one error about settings', () => {
  const part = fc.constantFrom(
    '[build]',
    '[[image]]',
    '\n',
    'file',
    ' = ',
    '"x"',
    '1',
    '[',
    ']',
    '{',
    '}',
    'image.env',
    '.',
    '#',
    "'",
    '"""',
    '1979-05-27',
    'true',
    '__proto__',
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(part).map((parts) => parts.join('')),
      ),
      (text) => {
        try {
          parseAppSettings(text);
        } catch (error) {
          assert.ok(isKilnError(error) && error.code === 'invalid-config', String(error));
        }
      },
    ),
    { numRuns: 1000 },
  );
});

test('without a file and variables the server listens on this machine only and keeps everything in its home', async () => {
  using home = folder();
  const { settings, file } = await loadServerSettings({ env: { KILN_HOME: home.path } });
  assert.equal(file, undefined);
  assert.deepEqual(settings.listen, { host: '127.0.0.1', port: 5000 });
  assert.equal(settings.limits.buildTimeout, 1_800_000);
  assert.equal(settings.limits.maxBuildTimeout, 3_600_000);
  assert.equal(settings.workspace, join(home.path, 'builds'));
  assert.equal(settings.database.url, undefined);
  assert.deepEqual(settings.git.allowedHosts, []);
});

test('the file sets, the environment wins, and the origin of each value is known', async () => {
  const loaded = await load(
    'listen = "[::1]:8080"\nworkspace = "/srv/a"\n[limits]\nbuildTimeout = "5m"\nlogSize = "1MiB"\n[registry]\nurl = "one:5000"\n',
    {
      NIX_BUILD_WORKSPACE: '/srv/b',
      DOCKER_REGISTRY_URL: 'localhost:5000',
      DOCKER_REGISTRY_USERNAME: 'admin',
      DOCKER_REGISTRY_PASSWORD: 'hunter2-password',
      NIX_CACHE_URL: 'https://cache.example.com/',
      NIX_LOCAL_CACHE_DIR: '/var/cache/nix',
      DATABASE_URL: 'postgres://kiln:hunter2-password@db/kiln',
      KILN_URL: '',
    },
  );
  const { settings } = loaded;
  assert.deepEqual(settings.listen, { host: '::1', port: 8080 });
  assert.equal(settings.workspace, '/srv/b');
  assert.equal(settings.limits.buildTimeout, 300_000);
  assert.equal(settings.limits.logSize, 2 ** 20);
  assert.equal(settings.registry.url, 'localhost:5000');
  assert.equal(settings.registry.password?.reveal(), 'hunter2-password');
  assert.equal(settings.cache.url, 'https://cache.example.com');
  assert.equal(settings.cache.localDir, '/var/cache/nix');
  assert.equal(settings.database.url?.reveal(), 'postgres://kiln:hunter2-password@db/kiln');
  assert.equal(settings.url, undefined);
  const shown = describeSettings(loaded);
  assert.doesNotMatch(JSON.stringify([shown, settings]), /hunter2/);
  const row = (key: string): unknown => shown.find((entry) => entry.key === key);
  assert.deepEqual(row('workspace'), { key: 'workspace', value: '/srv/b', origin: 'NIX_BUILD_WORKSPACE' });
  assert.deepEqual(row('limits.buildTimeout'), {
    key: 'limits.buildTimeout',
    value: '5 min 00 s',
    origin: loaded.file,
  });
  assert.deepEqual(row('registry.password'), {
    key: 'registry.password',
    value: '[secret]',
    origin: 'DOCKER_REGISTRY_PASSWORD',
  });
  assert.deepEqual(row('listen'), { key: 'listen', value: '[::1]:8080', origin: loaded.file });
  assert.deepEqual(row('git.timeout'), { key: 'git.timeout', value: '10 min 00 s', origin: 'default' });
});

test('secrets come from files that settings name', async () => {
  using work = folder();
  writeFileSync(join(work.path, 'password'), 'hunter2-password\n');
  const { settings } = await load(`[registry]\npasswordFile = "${join(work.path, 'password')}"\n`);
  assert.equal(settings.registry.password?.reveal(), 'hunter2-password');
  await assert.rejects(load('[registry]\npasswordFile = "/nonexistent/x"\n'), /cannot be read/);
  await assert.rejects(load('[registry]\npassword = "hunter2-password"\n'), (error) => {
    assert.ok(isKilnError(error));
    assert.match(error.where ?? '', /did you mean "passwordFile"/);
    return true;
  });
});

test("mistakes in the server's settings name the line of the file or the variable", async () => {
  const text = [
    'listen = "5000"',
    '[limits]',
    'concurentBuilds = 3',
    'buildTimeout = "2h"',
    'logSize = "10"',
    '[git]',
    'allowedHosts = ["ok.example", "not ok"]',
  ].join('\n');
  const error = await load(text, { NIX_CACHE_URL: 'cache.example.com' }).then(
    () => assert.fail('it did not fail'),
    (reason: unknown) => reason,
  );
  assert.ok(isKilnError(error));
  const where = error.where ?? '';
  assert.match(where, /kiln\.toml:1: listen: "5000" is not an address/);
  assert.match(
    where,
    /kiln\.toml:3: unknown setting "limits\.concurentBuilds"; did you mean "concurrentBuilds"\?/,
  );
  assert.match(where, /kiln\.toml:4: limits\.buildTimeout: it must be at most 1 h/);
  assert.match(where, /kiln\.toml:5: limits\.logSize: "10" is not a size/);
  assert.match(where, /kiln\.toml:7: git\.allowedHosts\.1: /);
  assert.match(where, /^NIX_CACHE_URL: cache\.url: "cache\.example\.com" is not an http/m);
  await assert.rejects(loadServerSettings({ file: '/nonexistent/kiln.toml', env: {} }), /does not exist/);
  await assert.rejects(load('', { DATABASE_URL: 'mysql://x' }), /postgres:\/\//);
  await assert.rejects(load('limits = 3', { KILN_URL: 'http://x' }), /mistake/);
});

test('every setting has a description', () => {
  assert.doesNotMatch(renderReference(), /\| *\|\n/);
});

test('suggestions are near in spelling, nearest first, and never far-fetched', () => {
  assert.deepEqual(closestMatches('mian', ['man', 'main', 'master']), ['main', 'man']);
  assert.deepEqual(closestMatches('login', ['main', 'feature/login']), ['feature/login']);
  assert.deepEqual(closestMatches('zzz', ['main', 'a', '']), []);
});
