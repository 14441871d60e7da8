/** Killed with SIGKILL at any moment, nothing acknowledged is lost and nothing stays half done. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { listAttempts, listBuilds } from '../src/build/build-queries.ts';
import type { BuildRecord } from '../src/build/build-record.ts';
import { readLog } from '../src/build/read-log.ts';
import type { Database } from '../src/db/database.ts';
import { openDatabase } from '../src/db/open-database.ts';
import { startWorker, untilEnded } from './harness/build-run.ts';
import { postgresMissing, startPostgres } from './harness/postgres.ts';

const PROGRAM = fileURLToPath(new URL('./harness/crash-worker.ts', import.meta.url));
const ROUNDS = 10;

interface Acknowledged {
  readonly queued: Set<string>;
  readonly ended: Map<string, string>;
}

describe('a worker that is killed again and again', () => {
  test('loses no build on the embedded database', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'kiln-crash-'));
    try {
      await crashAndCheck(folder, undefined);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  test('loses no build on PostgreSQL', { skip: postgresMissing() ?? false }, async () => {
    await using server = await startPostgres();
    await crashAndCheck('/nonexistent', await server.createDatabase('crash'));
  });
});

async function crashAndCheck(directory: string, url: string | undefined): Promise<void> {
  const acknowledged: Acknowledged = { queued: new Set(), ended: new Map() };
  for (let round = 0; round < ROUNDS; round++) await crash(directory, url, acknowledged);
  await using database = await openDatabase({ directory, url });
  const before = await listBuilds(database, { limit: 10_000 });
  const known = new Set(before.map((build) => build.id));
  assert.deepEqual(
    [...acknowledged.queued].filter((id) => !known.has(id)),
    [],
  );

  await using _worker = await startWorker(database, async () => ({}), { limit: 20 });
  const ended = await Promise.all(before.map((build) => untilEnded(database, build.id)));
  for (const build of ended) {
    const promised = acknowledged.ended.get(build.id);
    if (promised !== undefined) assert.equal(build.status, promised, build.id);
    if (build.status !== 'success')
      assert.deepEqual([build.status, build.reason?.code], ['failed', 'worker-lost']);
    await checkAttempts(database, build);
  }
  assert.deepEqual(markedProcesses(known), []);
}

/** Kills the process at a random moment, sometimes before it is up. */
async function crash(directory: string, url: string | undefined, acknowledged: Acknowledged): Promise<void> {
  const child = spawn(process.execPath, [PROGRAM, directory, url ?? ''], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  const started = new Promise<void>((resolve) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      resolve();
    });
  });
  const exited = new Promise((resolve) => child.once('close', resolve));
  if (Math.random() < 0.8) await Promise.race([started, exited]);
  await new Promise((resolve) => setTimeout(resolve, Math.random() * 400));
  assert.equal(child.exitCode, null, 'the process ended by itself');
  child.kill('SIGKILL');
  await exited;
  for (const [, word, id = '', status = ''] of output.matchAll(/^(queued|ended) (\S+)(?: (\S+))?\n/gm)) {
    if (word === 'queued') acknowledged.queued.add(id);
    else acknowledged.ended.set(id, status);
  }
}

/** Every attempt has ended, and the log of one that succeeded in the killed process is whole. */
async function checkAttempts(database: Database, build: BuildRecord): Promise<void> {
  for (const attempt of await listAttempts(database, build.id)) {
    assert(attempt.status !== 'building' && attempt.logClosed);
    const lines = await Array.fromAsync(readLog(database, { buildId: build.id, attempt: attempt.attempt }));
    assert.deepEqual(
      lines.map((line) => line.sequence),
      lines.map((_line, at) => at + 1),
    );
    if (attempt.status === 'success' && build.outPaths.length > 0) assert.equal(lines.length, 63);
  }
}

function markedProcesses(builds: ReadonlySet<string>): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      const mark = /\0KILN_ATTEMPT=([^/\0]+)\//.exec(`\0${readFileSync(`/proc/${pid}/environ`, 'utf8')}`);
      return mark !== null && builds.has(mark[1] ?? '');
    } catch {
      return false;
    }
  });
}
