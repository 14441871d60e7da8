/** A server that is killed while it takes uploads shows nothing that does not verify, and goes on afterwards. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { openKeyRing } from '../src/cache/key-ring.ts';
import { hashPartOf, parseStorePath } from '../src/store/store-path.ts';
import { nixClient, type NixClient } from './harness/cache-server.ts';
import { kilnHome } from './harness/kiln-cli.ts';
import { startServer } from './harness/kiln-server.ts';

/** A handful in the suite; KILN_CRASH_ROUNDS=50 for a long look. */
const ROUNDS = Number(process.env['KILN_CRASH_ROUNDS'] ?? 3);
const PATHS = 12;

test('killed again and again during uploads, it shows only paths that verify', async () => {
  using home = kilnHome('[cache]\nunsignedUploads = true\n');
  using client = nixClient();
  let sent: readonly string[] = [];
  let partial = 0;
  for (let round = 0; round <= ROUNDS; round++) {
    await using server = await startServer(home);
    const keys = (await openKeyRing(join(home.path, 'keys')).keys()).map((key) => key.publicKey).join(' ');
    const verify = ['store', 'verify', '--store', server.url, '--option', 'trusted-public-keys', keys];
    const visible: string[] = [];
    for (const path of sent)
      if ((await fetch(`${server.url}/${hashPartOf(parseStorePath(path))}.narinfo`)).ok) visible.push(path);
    if (visible.length > 0 && visible.length < PATHS) partial++;
    if (visible.length > 0) await client.nix(...verify, ...visible);
    // What is missing can be sent again.
    client.forget();
    if (sent.length > 0) await client.nix('copy', '--from', client.store, '--to', server.url, ...sent);
    if (round === ROUNDS) break;
    sent = addPaths(client, round);
    const upload = client
      .nix('copy', '--from', client.store, '--to', `${server.url}?compression=none`, ...sent)
      .catch(() => undefined);
    // Each time at another point: after so many paths became visible (their listings are there), or so many files came.
    const [folder, wanted] = round % 2 === 0 ? ['listings', round / 2] : ['files', PATHS - round];
    await arrivalOf(join(home.path, 'cache', folder ?? ''), round * PATHS + Number(wanted), upload);
    await server.stop('SIGKILL');
    await upload;
    client.forget();
  }
  assert.ok(partial > 0, 'the server was killed in the middle of a closure');
});

function addPaths(client: NixClient, round: number): string[] {
  const folder = mkdtempSync(join(client.path, 'files-'));
  const files = Array.from({ length: PATHS }, (_, index) => {
    const file = join(folder, `crash-${round}-${index}`);
    writeFileSync(file, randomBytes(200_000 * (1 + (index % 3))));
    return file;
  });
  const added = execFileSync('nix-store', ['--store', client.store, '--add', ...files], { encoding: 'utf8' });
  return added.trim().split('\n');
}

/** Resolves when more than `count` files lie below the folder, or the upload ended. */
async function arrivalOf(folder: string, count: number, upload: Promise<unknown>): Promise<void> {
  let ended = false;
  void upload.then(() => (ended = true));
  while (!ended) {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
    const stored = entries.filter((entry) => entry.isFile() && !entry.parentPath.includes('uploads'));
    if (stored.length > count) return;
    await sleep(1);
  }
}
