import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readImageFlags, shellWords } from '../src/cli/image-flags.ts';
import { applicationSettings } from '../src/pipeline/application-settings.ts';

const NO_FLAGS = { port: [], label: [], writable: [], shell: true };

test('the command line wins over kiln.toml, which wins over the expression', () => {
  const settings = applicationSettings(
    { image: { ports: [80], user: '5', env: { A: 'expression', B: 'expression' }, labels: { a: '1' } } },
    { image: { user: '6:7', env: { A: 'toml' }, cmd: ['x'] }, health: { http: '/' } },
    readImageFlags({ ...NO_FLAGS, port: ['8080', '8081'], label: ['b=2=3'], entrypoint: "serve 'a b'" }),
  );
  assert.deepEqual(settings, {
    image: {
      ports: [8080, 8081],
      user: '6:7',
      env: { A: 'toml', B: 'expression' },
      labels: { a: '1', b: '2=3' },
      cmd: ['x'],
      entrypoint: ['serve', 'a b'],
    },
    health: { http: '/' },
  });
  assert.deepEqual(applicationSettings({}, {}, readImageFlags(NO_FLAGS)), {});
});

test('a mistake in passthru.image is named with its key and a suggestion', () => {
  assert.throws(
    () =>
      applicationSettings({ image: { entrypont: ['x'], ports: ['80'], cmd: 'a function' } }, {}, undefined),
    (error: Error & { where?: string; code?: string }) => {
      assert.equal(error.code, 'invalid-config');
      assert.match(
        error.where ?? '',
        /passthru\.image: unknown setting "entrypont"; did you mean "entrypoint"\?/,
      );
      assert.match(error.where ?? '', /ports\.0: expected number \(found "80"\)/);
      assert.match(error.where ?? '', /cmd: expected array \(found "a function"\)/);
      return true;
    },
  );
});

test('words are split as a shell splits them', () => {
  assert.deepEqual(shellWords(`  a "b c"d 'e\\f' g\\ h "" "i\\"j" `), [
    'a',
    'b cd',
    'e\\f',
    'g h',
    '',
    'i"j',
  ]);
  assert.deepEqual(shellWords(''), []);
  assert.throws(() => shellWords('a "b'), { code: 'usage' });
});
