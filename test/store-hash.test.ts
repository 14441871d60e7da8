import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { isKilnError } from '../src/base/error.ts';
import { formatBase16, formatNix32, formatSri, parseHash, type HashAlgorithm } from '../src/store/hash.ts';
import { narHashFromBytes, narHashToBase16, narHashToSri, parseNarHash } from '../src/store/nar-hash.ts';
import { decodeNix32, encodeNix32 } from '../src/store/nix32.ts';
import {
  baseNameOf,
  checkStoreName,
  hashPartOf,
  isStorePath,
  nameOf,
  parseStorePath,
  storePathOfFile,
  toStoreName,
} from '../src/store/store-path.ts';

const EMPTY_SRI = 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=';
const EMPTY_NIX32 = 'sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73';
const EMPTY_HEX = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

test('the hash of nothing has the spellings that Nix gives it', () => {
  for (const text of [
    EMPTY_SRI,
    EMPTY_NIX32,
    `sha256:${EMPTY_HEX}`,
    EMPTY_HEX,
    EMPTY_HEX.toUpperCase(),
    EMPTY_SRI.slice(7),
  ]) {
    assert.equal(parseNarHash(text), EMPTY_NIX32);
  }
  const hash = parseNarHash(EMPTY_HEX);
  assert.equal(narHashToSri(hash), EMPTY_SRI);
  assert.equal(narHashToBase16(hash), `sha256:${EMPTY_HEX}`);
  assert.equal(narHashFromBytes(createHash('sha256').digest()), EMPTY_NIX32);
});

test('nix32 gives back every byte sequence', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      assert.deepEqual(Buffer.from(decodeNix32(encodeNix32(bytes), bytes.length)), Buffer.from(bytes));
    }),
  );
});

test('nix32 has one spelling for each value: a first digit that carries beyond the last byte is refused', () => {
  assert.throws(() => decodeNix32(`2${'0'.repeat(51)}`, 32), isInvalidInput);
  assert.doesNotThrow(() => decodeNix32(`1${'0'.repeat(51)}`, 32));
  assert.throws(() => decodeNix32('e'.repeat(52), 32), isInvalidInput);
});

test('every algorithm and encoding reads back what it wrote', () => {
  const sizes: Readonly<Record<HashAlgorithm, number>> = { md5: 16, sha1: 20, sha256: 32, sha512: 64 };
  const hashes = fc
    .constantFrom<HashAlgorithm>('md5', 'sha1', 'sha256', 'sha512')
    .chain((algorithm) =>
      fc
        .uint8Array({ minLength: sizes[algorithm], maxLength: sizes[algorithm] })
        .map((bytes) => ({ algorithm, bytes })),
    );
  fc.assert(
    fc.property(hashes, fc.constantFrom(formatNix32, formatBase16, formatSri), (hash, format) => {
      const read = parseHash(format(hash));
      assert.equal(read.algorithm, hash.algorithm);
      assert.deepEqual(Buffer.from(read.bytes), Buffer.from(hash.bytes));
    }),
  );
});

test('what is no hash is refused with a reason', () => {
  for (const text of [
    '',
    'sha256:',
    'sha256-',
    'sha256:xyz',
    `sha1:${EMPTY_HEX}`,
    `sha256-${EMPTY_HEX}`,
    `${EMPTY_SRI}=`,
    'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=',
  ]) {
    assert.throws(() => parseNarHash(text), isInvalidInput, text);
  }
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => refusesOrAccepts(() => parseHash(text))));
});

test('a store path has a hash part and a name', () => {
  const path = parseStorePath('/nix/store/f4m5l9n732fpk3jyf5hz8516chpr46s1-hello-2.12.1');
  assert.equal(hashPartOf(path), 'f4m5l9n732fpk3jyf5hz8516chpr46s1');
  assert.equal(nameOf(path), 'hello-2.12.1');
  assert.equal(baseNameOf(path), 'f4m5l9n732fpk3jyf5hz8516chpr46s1-hello-2.12.1');
  assert.equal(storePathOfFile(`${path}/bin/hello`), path);
  assert.equal(storePathOfFile('/nix/store/.links/x'), undefined);
});

test('what could lead out of the store is no store path', () => {
  const hash = 'f4m5l9n732fpk3jyf5hz8516chpr46s1';
  const wrong = [
    '/nix/store',
    '/nix/store/',
    `/nix/store/${hash}`,
    `/nix/store/${hash}-`,
    `/nix/store/${hash}-a/b`,
    `/nix/store/${hash}-a/`,
    `/nix/store/../store/${hash}-a`,
    `/nix/store/${hash}-..`,
    `/nix/store/${hash}-.`,
    `/nix/store/${hash}-.-a`,
    `/nix/store/${hash}-a\0`,
    `/nix/store/${hash}-a\n`,
    `/nix/store/${hash}-ä`,
    `/nix/store/${hash.replace('f', 'e')}-a`,
    `/nix/store/${hash}-${'a'.repeat(212)}`,
    `nix/store/${hash}-a`,
    `/gnu/store/${hash}-a`,
  ];
  for (const path of wrong) {
    assert.equal(isStorePath(path), false, path);
    assert.throws(() => parseStorePath(path), isInvalidInput, path);
  }
});

test('names are checked, and any text can be turned into one', () => {
  assert.equal(checkStoreName('libstdc++-13.2_rc?=x'), 'libstdc++-13.2_rc?=x');
  assert.throws(() => checkStoreName('a b'), /cannot be a store name: it holds " "/);
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) =>
      assert.equal(checkStoreName(toStoreName(text)), toStoreName(text)),
    ),
  );
});

function isInvalidInput(error: unknown): boolean {
  return isKilnError(error) && error.code === 'invalid-input';
}

function refusesOrAccepts(parse: () => unknown): void {
  try {
    parse();
  } catch (error) {
    assert.ok(isKilnError(error), String(error));
  }
}
