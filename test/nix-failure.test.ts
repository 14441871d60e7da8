import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { describeBuildFailure } from '../src/nix/build-failure.ts';
import { describeEvaluationFailure } from '../src/nix/evaluation-failure.ts';
import { createLogTails } from '../src/nix/log-tails.ts';
import { parseStorePath } from '../src/store/store-path.ts';

const TOP = parseStorePath('/nix/store/i25izcdwns87daj3yg6irmm8rwksg133-top.drv');
const BELOW = parseStorePath('/nix/store/d95xp2h0wisi6cmij9ignxg6v4ax3ky0-below.drv');

test('the failing derivation is found in the words of old and new Nix', () => {
  const spellings = [
    [
      `builder for '${BELOW}' failed with exit code 3`,
      `1 dependencies of derivation '${TOP}' failed to build`,
    ],
    [
      `Cannot build '${BELOW}'.\n       Reason: builder failed with exit code 3.\n       Output paths:\n         /nix/store/7b7mh45xd1qsc5qmpyqwz81475rmw7ij-below\n       Last 1 log lines:\n       > one`,
      `Cannot build '${TOP}'.\n       Reason: 1 dependency failed.\n       Output paths:\n         /nix/store/gi32sgwyfvd6441xzdmf945bsps8zrh1-top`,
    ],
  ];
  for (const errors of spellings) {
    for (const order of [errors, [...errors].reverse()]) {
      const error = describeBuildFailure(TOP, { exitCode: 1, stderr: '', errors: order }, createLogTails());
      assert.equal(error.code, 'build-failed');
      assert.equal(error.message, 'Building below failed: its builder ended with exit code 3');
      assert.equal(error.fields['neededBy'], TOP);
    }
  }
});

test('limits, machines and results that differ are told from failing builders', () => {
  const cases: readonly (readonly [string, string])[] = [
    [`building of '${BELOW}^*' from .drv file timed out after 5 seconds`, 'timed-out'],
    [`building of '${BELOW}^*' from .drv file timed out after 5 seconds of silence`, 'silent-too-long'],
    [
      `Cannot build '${BELOW}'.\nReason: required system or feature not available\nRequired system: 'aarch64-linux' with features {}\nCurrent system: 'x86_64-linux' with features {kvm}`,
      'build-failed',
    ],
    [
      `derivation '${BELOW}' may not be deterministic: output '/nix/store/7b7mh45xd1qsc5qmpyqwz81475rmw7ij-below' differs`,
      'build-failed',
    ],
    [`writing to file: No space left on device`, 'disk-full'],
    [`unable to download 'https://cache.example.org/nar/x': Could not resolve hostname`, 'dependency-fetch'],
    [`cannot connect to socket at '/nix/var/nix/daemon-socket/socket': Connection refused`, 'nix-failed'],
    [`path '/nix/store/7b7mh45xd1qsc5qmpyqwz81475rmw7ij-below' is not valid`, 'store-path-missing'],
  ];
  for (const [text, code] of cases) {
    assert.equal(
      describeBuildFailure(TOP, { exitCode: 1, stderr: '', errors: [text] }, createLogTails()).code,
      code,
      text,
    );
  }
});

test('a place in a library is followed by the place in the own source that led there', () => {
  const text = `
       … while calling the 'throw' builtin
         at /app/default.nix:3:5:
            2|   a =
            3|     pkgs.broken
             |     ^
            4|

       … while evaluating
         at /nix/store/7b7mh45xd1qsc5qmpyqwz81475rmw7ij-nixpkgs/lib.nix:10:1:
            9| x
           10| throw "no"
             | ^

       error: no`;
  const error = describeEvaluationFailure(text, { sourceDirectory: '/app' });
  assert.equal(error.message, 'no');
  assert.match(
    error.where ?? '',
    /^\/nix\/store\/[^\n]*lib\.nix:10:1\n[^]*called from \/app\/default\.nix:3:5\n[^]*pkgs\.broken/,
  );
});

test('no text makes the explanations throw', () => {
  const words = fc.constantFrom(
    'error:',
    '\n       error:',
    ' at /x:1:2:\n',
    '  1| x\n',
    "builder for '",
    TOP,
    "'",
    'failed with exit code 1',
    'got:',
    'Did you mean a?',
    '\n',
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(words, fc.string())), (parts) => {
      const text = parts.join('');
      assert.equal(typeof describeEvaluationFailure(text).message, 'string');
      assert.equal(
        typeof describeBuildFailure(TOP, { exitCode: 1, stderr: text, errors: [text] }, createLogTails())
          .message,
        'string',
      );
    }),
  );
});
