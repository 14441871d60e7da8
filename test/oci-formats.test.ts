import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { KilnError } from '../src/base/error.ts';
import { digestOf, parseDigest } from '../src/oci/digest.ts';
import { encodeImageConfig, parseImageConfig } from '../src/oci/image-config.ts';
import { encodeIndex } from '../src/oci/image-index.ts';
import { encodeManifest, MANIFEST_LIMIT, parseManifest } from '../src/oci/manifest.ts';
import { OCI_CONFIG, OCI_INDEX, OCI_LAYER_TAR, OCI_MANIFEST } from '../src/oci/media-types.ts';
import {
  formatReference,
  parseReference,
  parseRepositoryName,
  parseTag,
  referrersTag,
} from '../src/oci/reference.ts';
import { tarHeaderLength, type TarEntry, writeTarHeader } from '../src/oci/tar-header.ts';

const DIGEST = digestOf('{}');

test('digests are sha256 or sha512 in lower case and nothing else', () => {
  assert.equal(DIGEST, 'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a');
  assert.equal(parseDigest(digestOf('x', 'sha512')).length, 7 + 128);
  for (const wrong of [
    '',
    'sha256:',
    DIGEST.toUpperCase(),
    `${DIGEST}0`,
    `${DIGEST}\n`,
    'md5:d41d8cd98f00b204e9800998ecf8427e',
  ]) {
    assert.throws(() => parseDigest(wrong), { code: 'invalid-input' });
  }
});

test('references are taken apart as Docker does it', () => {
  const cases: [string, object][] = [
    ['app', { repository: 'app' }],
    ['team/app:1.0', { repository: 'team/app', tag: '1.0' }],
    ['localhost/app', { host: 'localhost', repository: 'app' }],
    ['localhost:5000/team/app:x', { host: 'localhost:5000', repository: 'team/app', tag: 'x' }],
    ['[::1]:5000/app', { host: '[::1]:5000', repository: 'app' }],
    [
      `registry.example.com/a/b:t@${DIGEST}`,
      { host: 'registry.example.com', repository: 'a/b', tag: 't', digest: DIGEST },
    ],
    [`a--b/c__d@${DIGEST}`, { repository: 'a--b/c__d', digest: DIGEST }],
  ];
  for (const [text, expected] of cases) {
    assert.deepEqual(parseReference(text), expected);
    assert.equal(formatReference(parseReference(text)), text);
  }
});

test('path tricks and other bad names are refused', () => {
  for (const wrong of [
    '',
    '/',
    '..',
    'a/../b',
    'a//b',
    '/a',
    'a/',
    'A',
    'a_-b',
    'a___b',
    '.a',
    'a\0',
    'a\n',
    'ä',
    'a'.repeat(256),
    '%2e%2e/x',
  ]) {
    assert.throws(() => parseRepositoryName(wrong), { code: 'invalid-name' });
  }
  for (const wrong of ['', '.', '..', '-x', 'a/b', 'a:b', 'x'.repeat(129)])
    assert.throws(() => parseTag(wrong), { code: 'invalid-name' });
  for (const wrong of ['a@sha256:1', 'a:b:c', 'host:99999/a', 'UPPER/a/', ':tag', '@', 'a'.repeat(2000)]) {
    assert.throws(() => parseReference(wrong), KilnError);
  }
  assert.equal(referrersTag(digestOf('x', 'sha512')).length, 'sha512-'.length + 64);
});

test('no text makes the parsers of names fail in another way than by a KilnError', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
      for (const parse of [parseReference, parseRepositoryName, parseTag, parseDigest]) {
        try {
          parse(text);
        } catch (error) {
          assert.ok(error instanceof KilnError);
        }
      }
    }),
  );
});

const descriptor = { mediaType: OCI_LAYER_TAR, digest: DIGEST, size: 2 };
const manifest = {
  mediaType: OCI_MANIFEST,
  config: { ...descriptor, mediaType: OCI_CONFIG },
  layers: [descriptor],
};

test('a manifest keeps its bytes, whatever its spacing', () => {
  const bytes = Buffer.from(` ${JSON.stringify({ schemaVersion: 2, ...manifest, unknown: [1] }, null, 3)}\n`);
  const parsed = parseManifest(bytes, `${OCI_MANIFEST}; charset=utf-8`);
  assert.ok(parsed.bytes.equals(bytes));
  assert.equal(parsed.digest, digestOf(bytes));
  assert.deepEqual(parsed.content, { kind: 'manifest', ...manifest });
  const encoded = encodeManifest(manifest);
  assert.deepEqual(parseManifest(encoded).content, { kind: 'manifest', ...manifest });
  const index = parseManifest(
    encodeIndex({ manifests: [{ ...descriptor, platform: { os: 'linux', architecture: 'arm64' } }] }),
  );
  assert.equal(index.content.kind, 'index');
  assert.equal(index.content.mediaType, OCI_INDEX);
});

test('manifests that are truncated, oversized, of two kinds or of the wrong type are refused', () => {
  const text = encodeManifest(manifest).toString();
  const bad = [
    text.slice(0, -1),
    '',
    '[]',
    'null',
    text.replace('"schemaVersion":2', '"schemaVersion":1'),
    text.replace('"layers":', '"manifests":[],"layers":'),
    text.replace('"size":2', '"size":-1'),
    text.replace('"size":2', '"size":1e99'),
    text.replace('sha256:', 'sha999:'),
    text.replace('"layers":[', '"layers":[null,'),
    text.replace(OCI_MANIFEST, 'text/plain'),
  ];
  for (const wrong of bad) assert.throws(() => parseManifest(Buffer.from(wrong)), { code: 'invalid-input' });
  assert.throws(() => parseManifest(Buffer.from([0x7b, 0xff, 0x7d])), { code: 'invalid-input' });
  assert.throws(() => parseManifest(Buffer.from(text), OCI_INDEX), { code: 'invalid-input' });
  assert.throws(() => parseManifest(Buffer.alloc(MANIFEST_LIMIT + 1, ' ')), { code: 'too-large' });
});

test('no JSON makes the manifest parser fail in another way than by a KilnError', () => {
  const field = fc.oneof(fc.jsonValue(), fc.constant(descriptor), fc.array(fc.constant(descriptor)));
  const keys = ['mediaType', 'config', 'layers', 'manifests', 'subject', 'annotations', 'artifactType'];
  const document = fc
    .dictionary(fc.constantFrom(...keys), field)
    .map((fields) => ({ schemaVersion: 2, ...fields }));
  fc.assert(
    fc.property(document, (value) => {
      try {
        parseManifest(Buffer.from(JSON.stringify(value)));
      } catch (error) {
        assert.ok(error instanceof KilnError);
      }
    }),
  );
});

test('an image configuration survives writing and reading', () => {
  const config = {
    created: '1970-01-01T00:00:00Z',
    architecture: 'arm',
    variant: 'v7',
    os: 'linux',
    config: {
      User: '1000:1000',
      ExposedPorts: { '80/tcp': {} },
      Env: ['A=b'],
      Entrypoint: ['/x'],
      Labels: { a: 'b' },
    },
    diffIds: [DIGEST],
    history: [{ created_by: 'kiln', empty_layer: true }],
  };
  assert.deepEqual(parseImageConfig(encodeImageConfig(config)), config);
  const docker = {
    architecture: 'amd64',
    os: 'linux',
    config: { Env: null, ExposedPorts: null, Labels: null },
    rootfs: { type: 'layers', diff_ids: [] },
  };
  assert.deepEqual(parseImageConfig(Buffer.from(JSON.stringify(docker))).config, {});
});

const plain: TarEntry = {
  kind: 'file',
  name: 'a',
  target: '',
  mode: 0o444,
  uid: 0,
  gid: 0,
  size: 0,
  mtime: 1,
};

test('a PAX header appears only where ustar cannot say it', () => {
  const splittable = `${'p'.repeat(155)}/${'n'.repeat(100)}`;
  assert.equal(tarHeaderLength({ ...plain, name: splittable }), 512);
  assert.equal(tarHeaderLength({ ...plain, name: `${splittable}n` }), 1536);
  assert.equal(tarHeaderLength({ ...plain, name: 'ü' }), 1536);
  assert.equal(tarHeaderLength({ ...plain, size: 8 * 2 ** 30 - 1 }), 512);
  const huge = { ...plain, size: 8 * 2 ** 30 };
  const out = Buffer.alloc(tarHeaderLength(huge));
  assert.equal(writeTarHeader(out, 0, huge), out.length);
  assert.equal(out.toString('latin1', 512, 531), '19 size=8589934592\n');
  assert.equal(out.toString('latin1', 0, 13), 'PaxHeaders/a\0');
});

test('the length of a header is what is written, and its checksum holds', () => {
  const bytes = fc.string({
    unit: fc.integer({ min: 1, max: 255 }).map((code) => String.fromCharCode(code)),
    minLength: 1,
    maxLength: 400,
  });
  fc.assert(
    fc.property(bytes, bytes, fc.nat(2 ** 31), (name, target, size) => {
      const entry: TarEntry = { ...plain, kind: 'symlink', name, target, size };
      const length = tarHeaderLength(entry);
      const out = Buffer.alloc(length + 8, 0xee);
      assert.equal(writeTarHeader(out, 0, entry), length);
      assert.equal(out[length], 0xee);
      const block = out.subarray(length - 512, length);
      const sum = Number.parseInt(block.toString('latin1', 148, 154), 8);
      block.fill(' ', 148, 156);
      assert.equal(
        sum,
        block.reduce((total, byte) => total + byte, 0),
      );
    }),
  );
});
