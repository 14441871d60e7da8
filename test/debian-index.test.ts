import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { KilnError } from '../src/base/error.ts';
import { archivesOf } from '../src/debian/archive-location.ts';
import { dependencyClauses, packageOf, parseControl, providedNames } from '../src/debian/deb-package.ts';

const PARAGRAPH = `Package: bash
Version: 1:5.2-1+b1
Architecture: amd64
Pre-Depends: libc6 (>= 2.38), libtinfo6 (>= 6)
Depends: base-files (>= 2.1.12), debianutils:any | mawk [amd64]
Provides: shell, posix-shell (= 1)
Description: a shell
 with a second line
Filename: pool/main/b/bash/bash_5.2-1+b1_amd64.deb
Size: 1500000
SHA256: ${'ab'.repeat(32)}
`;

function only(text: string): ReturnType<typeof parseControl>[number] {
  const [paragraph] = parseControl(text);
  assert.ok(paragraph);
  return paragraph;
}

test('a paragraph of the index gives a package that can be fetched without the index', () => {
  assert.deepEqual(packageOf(only(PARAGRAPH), 'trixie'), {
    name: 'bash',
    version: '1:5.2-1+b1',
    architecture: 'amd64',
    sha256: 'ab'.repeat(32),
    size: 1_500_000,
    filename: 'pool/main/b/bash/bash_5.2-1+b1_amd64.deb',
    suite: 'trixie',
  });
});

test('dependencies keep their alternatives and lose versions, architectures and qualifiers', () => {
  const paragraph = only(PARAGRAPH);
  assert.deepEqual(dependencyClauses(paragraph), [
    ['libc6'],
    ['libtinfo6'],
    ['base-files'],
    ['debianutils', 'mawk'],
  ]);
  assert.deepEqual(providedNames(paragraph), ['shell', 'posix-shell']);
  assert.equal(paragraph.get('Description'), 'a shell\nwith a second line');
});

test('a package whose file lies outside the archive or has no SHA-256 is refused', () => {
  for (const bad of [
    PARAGRAPH.replace('pool/main', '../../etc'),
    PARAGRAPH.replace('pool/main', '/etc'),
    PARAGRAPH.replace(/SHA256: .*/, 'MD5sum: 00'),
    PARAGRAPH.replace('Size: 1500000', 'Size: many'),
  ]) {
    assert.throws(() => packageOf(only(bad), 'trixie'), { code: 'corrupt' });
  }
});

test('any text is either read as control data or refused as corrupt', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom('Package: a', ' x', '', ':', 'Depends: b | c', '\t', 'noise', 'A:')),
      (lines) => {
        try {
          for (const paragraph of parseControl(lines.join('\n'))) dependencyClauses(paragraph);
        } catch (error) {
          assert.ok(error instanceof KilnError && error.code === 'corrupt');
        }
      },
    ),
  );
});

test("Debian's own archive comes before another vendor's with the same suite names", () => {
  const line = (uri: string, suite: string): string => `'${uri}/dists/${suite}/InRelease' name 0 \n`;
  const printed =
    line('https://vendor.example/linux/debian', 'bookworm') +
    line('http://mirror.example/debian', 'bookworm') +
    line('http://mirror.example/debian', 'bookworm-updates') +
    line('http://mirror.example/debian-security', 'bookworm-security');
  const archives = archivesOf(printed, '/keys.gpg');
  assert.deepEqual(archives[0], {
    main: 'http://mirror.example/debian',
    security: 'http://mirror.example/debian-security',
    keyring: '/keys.gpg',
  });
  assert.equal(archives.length, 2);
});
