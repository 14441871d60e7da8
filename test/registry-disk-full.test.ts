import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runProcess } from '../src/process/run-process.ts';
import { digestOf } from '../src/oci/digest.ts';
import { startTestRegistry } from './registry-server.ts';

test('a disk that fills up during an upload is said so, loses no other blob and leaves nothing behind', async (context) => {
  const disk = await mkdtemp(join(tmpdir(), 'kiln-disk-'));
  const mounted = await runProcess('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', disk]).catch(
    () => undefined,
  );
  try {
    if (mounted?.exitCode !== 0) return context.skip('a small file system cannot be mounted here');
    await using registry = await startTestRegistry({ blobDirectory: disk });
    const post = (bytes: Buffer) =>
      fetch(`${registry.url}/v2/full/blobs/uploads/?digest=${digestOf(bytes)}`, {
        method: 'POST',
        body: bytes,
      });
    const small = randomBytes(1_000_000);
    assert.equal((await post(small)).status, 201);
    const refused = await post(randomBytes(1_500_000));
    assert.equal(refused.status, 507);
    assert.match(await refused.text(), /No space is left/);
    assert.deepEqual(await readdir(join(disk, 'uploads')), []);
    assert.equal((await post(randomBytes(500_000))).status, 201);
    const back = await fetch(`${registry.url}/v2/full/blobs/${digestOf(small)}`);
    assert.ok(Buffer.from(await back.arrayBuffer()).equals(small));
  } finally {
    if (mounted?.exitCode === 0) await runProcess('umount', [disk]);
    await rm(disk, { recursive: true, force: true });
  }
});
