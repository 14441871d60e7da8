import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { isKilnError } from '../src/base/error.ts';
import { Secret } from '../src/base/secret.ts';
import { fingerprintOf } from '../src/store/fingerprint.ts';
import { formatNarInfo, parseNarInfo } from '../src/store/narinfo.ts';
import {
  generateSigningKey,
  isSignature,
  keyNameOf,
  parsePublicKey,
  parseSigningKey,
  verifySignature,
} from '../src/store/signature.ts';
import { workFolder } from './harness/work-folder.ts';

const NARINFO = `StorePath: /nix/store/f4m5l9n732fpk3jyf5hz8516chpr46s1-hello
URL: nar/0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73.nar.xz?x=1
Compression: xz
FileHash: sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73
FileSize: 50
NarHash: sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73
NarSize: 120
References: d95xp2h0wisi6cmij9ignxg6v4ax3ky0-libc f4m5l9n732fpk3jyf5hz8516chpr46s1-hello
Deriver: kzmd9sl2zwnq57mbmqkiph9rpm5cfqyy-hello.drv
Sig: a-1:99BU2UlagoPWE4gSBtEbjEvxiPUMkZx2yIe6GHaoL9MyHZM2R/u8iWmpECB03u16QnjMTWPUEThWbRSEdRVICg==
Sig: b-1:99BU2UlagoPWE4gSBtEbjEvxiPUMkZx2yIe6GHaoL9MyHZM2R/u8iWmpECB03u16QnjMTWPUEThWbRSEdRVICg==
CA: fixed:r:sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73
PartialClosure: something new
`;

test('a narinfo is read and written without a change', () => {
  const info = parseNarInfo(NARINFO);
  assert.equal(info.url, 'nar/0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73.nar.xz?x=1');
  assert.equal(info.references.length, 2);
  assert.equal(info.signatures.length, 2);
  assert.equal(formatNarInfo(info), NARINFO);
});

test('a narinfo without a compression means bzip2, and an unknown deriver none', () => {
  const info = parseNarInfo(
    NARINFO.replace('Compression: xz\n', '').replace(/Deriver: .*/, 'Deriver: unknown-deriver'),
  );
  assert.equal(info.compression, 'bzip2');
  assert.equal(info.deriver, undefined);
});

test('a narinfo that Nix would call corrupt is refused with the reason', () => {
  const wrong: readonly (readonly [string, RegExp])[] = [
    [NARINFO.slice(0, -1), /last line does not end/],
    [NARINFO.replace('NarSize: 120', 'NarSize: 0'), /NarSize is 0/],
    [NARINFO.replace('NarSize: 120\n', ''), /no NarSize/],
    [NARINFO.replace('NarSize: 120', 'NarSize: 1e3'), /not a number of bytes/],
    [NARINFO.replace(/NarHash: .*\n/, ''), /no NarHash/],
    [NARINFO.replace(/URL: .*\n/, ''), /no URL/],
    [NARINFO.replace(/StorePath: .*\n/, ''), /no StorePath/],
    [`${NARINFO}References: d95xp2h0wisi6cmij9ignxg6v4ax3ky0-libc\n`, /References twice/],
    [`${NARINFO}CA: text:sha256:x\n`, /CA twice/],
    [NARINFO.replace('References: ', 'References: ../../etc '), /References is wrong/],
    [NARINFO.replace('NarSize: 120', 'NarSize:120'), /no "Key: value" line/],
    [`${NARINFO}\n`, /no "Key: value" line/],
  ];
  for (const [text, reason] of wrong) assert.throws(() => parseNarInfo(text), reason);
});

test('hostile narinfos are refused without a crash', () => {
  const pieces = fc.constantFrom(
    ...NARINFO.split('\n').map((line) => `${line}\n`),
    'References: \n',
    ': \n',
    '\0',
    'Sig: \n',
    '\n',
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(pieces, fc.string({ unit: 'binary' }))), (parts) => {
      try {
        const info = parseNarInfo(parts.join(''));
        assert.deepEqual(parseNarInfo(formatNarInfo(info)).narHash, info.narHash);
      } catch (error) {
        assert.ok(isKilnError(error), String(error));
      }
    }),
  );
});

test('the cache that Nix writes is read, and its signature is that of our key', () => {
  using folder = workFolder();
  const key = generateSigningKey('test-1');
  const cache = join(folder.path, 'cache');
  const path = execFileSync('nix-store', ['--add', folder.write('signed', 'content to sign')], {
    encoding: 'utf8',
  }).trim();
  const keyFile = folder.write('key', key.secretKey.reveal());
  const command = ['--extra-experimental-features', 'nix-command'];
  execFileSync('nix', [
    'copy',
    ...command,
    '--to',
    `file://${cache}?secret-key=${keyFile}&compression=none`,
    path,
  ]);
  const [file] = readdirSync(cache).filter((name) => name.endsWith('.narinfo'));
  const text = readFileSync(join(cache, file ?? ''), 'utf8');
  const info = parseNarInfo(text);
  assert.equal(formatNarInfo(info), text);
  assert.equal(info.signatures[0], parseSigningKey(key.secretKey).sign(fingerprintOf(info)));
  assert.equal(
    verifySignature(fingerprintOf(info), info.signatures[0] ?? '', [parsePublicKey(key.publicKey)])?.name,
    'test-1',
  );
});

test('a key that Nix made signs, and its public half is the one Nix gives', () => {
  const command = ['--extra-experimental-features', 'nix-command'];
  const secret = execFileSync('nix', ['key', 'generate-secret', ...command, '--key-name', 'k.example-1'], {
    encoding: 'utf8',
  });
  const publicKey = execFileSync('nix', ['key', 'convert-secret-to-public', ...command], {
    input: secret,
    encoding: 'utf8',
  });
  const key = parseSigningKey(new Secret(secret));
  assert.equal(key.publicKey, publicKey.trim());
  const signature = key.sign('1;x');
  assert.ok(isSignature(signature));
  assert.equal(keyNameOf(signature), 'k.example-1');
  const known = [parsePublicKey(publicKey)];
  assert.ok(verifySignature('1;x', signature, known));
  assert.equal(verifySignature('1;y', signature, known), undefined);
  assert.equal(verifySignature('1;x', signature.replace('k.example-1', 'other'), known), undefined);
  assert.equal(verifySignature('1;x', 'k.example-1:AAAA', known), undefined);
});

test('a damaged key is refused, and the message does not show it', () => {
  const { secretKey } = generateSigningKey('test-1');
  const bytes = Buffer.from(secretKey.reveal().slice('test-1:'.length), 'base64');
  bytes[40] = (bytes[40] ?? 0) ^ 1;
  const damaged = bytes.toString('base64');
  for (const text of [
    `test-1:${damaged}`,
    damaged,
    `:${damaged}`,
    'test-1:',
    `test-1:${damaged.slice(0, 40)}`,
  ]) {
    assert.throws(
      () => parseSigningKey(new Secret(text)),
      (error) => isKilnError(error) && !error.message.includes(damaged.slice(0, 16)),
    );
  }
  assert.throws(() => generateSigningKey('a:b'), /cannot name a signing key/);
});
