import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import fc from 'fast-check';
import { isKilnError } from '../src/base/error.ts';
import {
  formatDerivation,
  isFixedOutput,
  parseDerivation,
  requiredSystemFeatures,
} from '../src/store/derivation.ts';
import { parseStorePath } from '../src/store/store-path.ts';
import { workFolder } from './harness/work-folder.ts';

const EXPRESSION = `
let
  fixed = derivation {
    name = "fixed"; system = "x86_64-linux"; builder = "/bin/sh"; args = [ "-c" "echo hi > $out" ];
    outputHash = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="; outputHashMode = "recursive";
  };
  structured = derivation {
    name = "structured"; system = "x86_64-linux"; builder = "/bin/sh"; __structuredAttrs = true;
    outputs = [ "out" "dev" ]; list = [ 1 "two" ]; requiredSystemFeatures = [ "kvm" "big" ];
  };
in derivation {
  name = "top"; system = "x86_64-linux"; builder = "/bin/sh"; requiredSystemFeatures = "kvm";
  text = "tab\\t newline\\n quote\\" backslash\\\\ dollar $ ü";
  args = [ "-c" "\${fixed} \${structured.dev} \${builtins.toFile "src" "x"}" ];
}`;

test('derivations that Nix wrote are read, and written back byte by byte', () => {
  using folder = workFolder();
  const path = execFileSync('nix-instantiate', [folder.write('e.nix', EXPRESSION)], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  }).trim();
  const text = readFileSync(path, 'utf8');
  const top = parseDerivation(text);
  assert.equal(formatDerivation(top), text);
  assert.equal(top.platform, 'x86_64-linux');
  assert.equal(top.env.get('text'), 'tab\t newline\n quote" backslash\\ dollar $ ü');
  assert.equal(top.inputSrcs.length, 1);
  assert.deepEqual(requiredSystemFeatures(top), ['kvm']);
  assert.equal(isFixedOutput(top), false);

  const [fixedPath, structuredPath] = [...top.inputDrvs.keys()].sort((a, b) =>
    a.slice(44) < b.slice(44) ? -1 : 1,
  );
  const fixedText = readFileSync(fixedPath ?? '', 'utf8');
  const fixed = parseDerivation(fixedText);
  assert.equal(formatDerivation(fixed), fixedText);
  assert.ok(isFixedOutput(fixed));
  assert.equal(fixed.outputs.get('out')?.hashAlgorithm, 'r:sha256');

  const structured = parseDerivation(readFileSync(structuredPath ?? '', 'utf8'));
  assert.deepEqual([...structured.outputs.keys()], ['dev', 'out']);
  assert.deepEqual(top.inputDrvs.get(parseStorePath(structuredPath ?? '')), ['dev']);
  assert.deepEqual(structured.structuredAttrs?.['list'], [1, 'two']);
  assert.deepEqual(requiredSystemFeatures(structured), ['kvm', 'big']);
});

test('what is no derivation is refused with the place', () => {
  const wrong = [
    '',
    'Derive',
    'Derive(',
    'Derive([],[],[],"","",[],[]',
    'Derive([],[],[],"","",[],[])x',
    'Derive([],[],[],"","",[])',
    'Derive([],[],[],"","",[],["x"])',
    'Derive([("out","/etc/passwd","","")],[],[],"","",[],[])',
    'Derive([],[("/nix/store/x",["out"])],[],"","",[],[])',
    'Derive([],[],[],"","",[],[("__json","[]")])',
    'DrvWithVersion("xp-dyn-drv",[],[],[],"","",[],[])',
    `Derive(${'['.repeat(100_000)}`,
    'Derive([],[],[],"\\',
  ];
  for (const text of wrong)
    assert.throws(
      () => parseDerivation(text),
      (error) => isKilnError(error) && error.code === 'invalid-input',
      text.slice(0, 60),
    );
});

test('hostile derivations are refused without a crash', () => {
  const pieces = fc.constantFrom(
    'Derive(',
    '[',
    ']',
    '(',
    ')',
    ',',
    '"',
    '\\',
    '"a"',
    '[("out","","","")]',
    '[]',
    '""',
  );
  fc.assert(
    fc.property(fc.array(fc.oneof({ weight: 9, arbitrary: pieces }, fc.string())), (parts) => {
      try {
        const derivation = parseDerivation(`Derive(${parts.join('')}`);
        assert.deepEqual(parseDerivation(formatDerivation(derivation)), derivation);
      } catch (error) {
        assert.ok(isKilnError(error), String(error));
      }
    }),
  );
});
