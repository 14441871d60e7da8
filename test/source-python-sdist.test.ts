/** Python packages that have no wheel: which source distribution is taken, and what it says that it needs. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { pack } from 'tar-stream';
import { isKilnError } from '../src/base/error.ts';
import {
  chooseSdist,
  metadataWheel,
  readSdist,
  splitRequirement,
} from '../src/source/dependencies/python-sdist.ts';
import { comparePython, satisfiesPython } from '../src/source/dependencies/python-version.ts';

const SKIPPED = ['0.9', '1.0', '1.4.2', '2.0rc1', '1.10']
  .map(
    (version) =>
      `  Skipping link: No sources permitted for odd: https://index.example/f/odd-${version}.tar.gz#sha256=${'ab'.repeat(32)} (from https://index.example/odd/)`,
  )
  .join('\n');

async function sdist(files: Readonly<Record<string, string>>): Promise<{ content: Buffer; sha256: string }> {
  const archive = pack();
  for (const [name, text] of Object.entries(files)) archive.entry({ name: `odd-1.0/${name}` }, text);
  archive.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of archive as AsyncIterable<Buffer>) chunks.push(chunk);
  const content = gzipSync(Buffer.concat(chunks));
  return { content, sha256: createHash('sha256').update(content).digest('hex') };
}

test('the newest release that the requirement admits is chosen', () => {
  const version = (requirement: string): string | undefined => chooseSdist(SKIPPED, requirement)?.version;
  assert.equal(version('odd'), '1.10');
  assert.equal(version('odd>=1,<1.5'), '1.4.2');
  assert.equal(version('odd==2.0rc1'), '2.0rc1');
  assert.equal(version('Odd[fast]~=1.4.0; python_version > "3"'), '1.4.2');
  assert.equal(version('odd>3'), undefined);
});

test('versions of Python packages compare as numbers, with what comes before and after a release', () => {
  const order = ['1.0.dev1', '1.0a2', '1.0b1', '1.0rc1', '1.0', '1.0.post1', '1.2', '1.10', '2'];
  for (const [at, version] of order.entries())
    for (const later of order.slice(at + 1))
      assert.ok(comparePython(version, later) < 0, `${version} < ${later}`);
  assert.ok(satisfiesPython('1.4.7', '==1.4.*,!=1.4.2'));
  assert.ok(!satisfiesPython('1.4', 'whatever'));
  fc.assert(
    fc.property(
      fc.string(),
      fc.string(),
      (a, b) => Number.isFinite(comparePython(a, b)) && comparePython(a, a) === 0,
    ),
  );
});

test('what an old source distribution needs stands in requires.txt, a new one says it in its metadata', async () => {
  const link = { name: 'odd', version: '1.0', url: 'https://index.example/odd-1.0.tar.gz' };
  const old = await sdist({
    'PKG-INFO': 'Name: odd\nVersion: 1.0\n',
    'odd.egg-info/requires.txt':
      'six>=1\n\n[:python_version < "3"]\nfutures\n\n[fast:sys_platform == "linux"]\nuvloop\n',
  });
  const facts = await readSdist(old.content, { ...link, sha256: old.sha256 });
  assert.deepEqual(facts.requirements, [
    'six>=1',
    'futures; (python_version < "3")',
    'uvloop; extra == \'fast\' and (sys_platform == "linux")',
  ]);
  assert.deepEqual(facts.buildRequirements, ['setuptools', 'wheel']);
  const current = await sdist({
    'PKG-INFO': 'Name: odd\nRequires-Dist: six\nProvides-Extra: fast\n\nRequires-Dist: not this',
    'pyproject.toml': '[build-system]\nrequires = ["flit_core"]\n',
    'tests/pyproject.toml': '[build-system]\nrequires = ["wrong"]\n',
  });
  assert.deepEqual(await readSdist(current.content, { ...link, sha256: current.sha256 }), {
    requirements: ['six'],
    extras: ['fast'],
    buildRequirements: ['flit_core'],
  });
  await assert.rejects(
    readSdist(current.content, { ...link, sha256: old.sha256 }),
    (error) => isKilnError(error) && error.code === 'hash-mismatch',
  );
});

test('the wheel that stands for it while pip resolves holds its metadata alone', () => {
  const facts = { requirements: ['six>=1'], extras: ['fast'], buildRequirements: [] };
  const wheel = metadataWheel({ name: 'odd-one', version: '1.0', url: '', sha256: '' }, facts);
  assert.equal(wheel.file, 'odd_one-1.0-py3-none-any.whl');
  assert.match(wheel.content.toString('latin1'), /Requires-Dist: six>=1\nProvides-Extra: fast\n/);
});

test('the name of a requirement is normalised', () => {
  assert.deepEqual(splitRequirement('My_Pkg.x[a,b] >=1, <2 ; python_version > "3" --hash=sha256:00'), {
    name: 'my-pkg-x',
    ranges: '>=1, <2',
  });
});
