/** Logs: complete, in order, followed without loss or repetition, within their limit, without secrets. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import fc from 'fast-check';
import { Secret } from '../src/base/secret.ts';
import { systemClock } from '../src/base/clock.ts';
import { beginAttempt, endAttempt } from '../src/build/attempt-queries.ts';
import type { RunKey } from '../src/build/build-queries.ts';
import { decodeFrame, encodeFrame, type LogLine } from '../src/build/log-line.ts';
import { LogWriter } from '../src/build/log-writer.ts';
import { downloadLog, followLog, readLog } from '../src/build/read-log.ts';
import type { Database } from '../src/db/database.ts';
import { openDatabase } from '../src/db/open-database.ts';
import { newBuild } from './harness/build-run.ts';
import { onEachDatabase } from './harness/each-database.ts';

test('lines come out of a frame as they went in', async () => {
  const line = fc.record(
    {
      sequence: fc.nat(),
      at: fc.nat(),
      stream: fc.constantFrom('stdout' as const, 'stderr' as const, 'kiln' as const),
      text: fc.string({ unit: 'binary' }),
    },
    { noNullPrototype: true },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(line, { minLength: 1 }), async (lines) => {
      assert.deepEqual(await decodeFrame(await encodeFrame(lines)), lines);
    }),
    { numRuns: 50 },
  );
});

onEachDatabase('logs', (under) => {
  let database: Database;
  before(() => {
    database = under.database;
  });

  test('keep time, stream, step and derivation of each line, and hide secrets in all their forms', async () => {
    const { run, writer } = await newLog(database);
    writer.hide([new Secret('tok-123456'), 'line one of a key\nline two of a key\n', undefined]);
    writer.write('clone with tok-123456 and https://me:pw@host/x', { step: 'source' });
    writer.write(`key: line two of a key, ${encodeURIComponent('tok-123456')}`, { stream: 'stderr' });
    writer.write('two\nlines', { stream: 'stdout', step: 'build', derivation: '/nix/store/a.drv' });
    await close(database, run, writer);
    const lines = await readAll(database, run);
    assert.deepEqual(
      lines.map(({ at: _at, ...line }) => line),
      [
        {
          sequence: 1,
          stream: 'kiln',
          step: 'source',
          text: 'clone with [secret] and https://[secret]@host/x',
        },
        { sequence: 2, stream: 'stderr', text: 'key: [secret], [secret]' },
        { sequence: 3, stream: 'stdout', step: 'build', derivation: '/nix/store/a.drv', text: 'two' },
        { sequence: 4, stream: 'stdout', step: 'build', derivation: '/nix/store/a.drv', text: 'lines' },
      ],
    );
    const only = { buildId: run.buildId, attempt: 1, derivation: '/nix/store/a.drv' };
    assert.deepEqual(await Array.fromAsync(readLog(database, only), (line) => line.text), ['two', 'lines']);
    const text = (await Array.fromAsync(downloadLog(database, { buildId: run.buildId, attempt: 1 }))).join(
      '',
    );
    assert.match(text, /^\d{4}-\d\d-\d\dT[\d:.]+Z kiln {3}source: clone with \[secret\]/);
    assert.match(text, /Z stdout build: lines\n$/);
  });

  test('are followed from any line while they are written, without loss or repetition', async () => {
    const { run, writer } = await newLog(database, { flushMs: 5 });
    const follow = async (after: number): Promise<number[]> => {
      const selection = { buildId: run.buildId, attempt: 1, after };
      return await Array.fromAsync(
        followLog(database, selection, AbortSignal.timeout(30_000)),
        (line) => line.sequence,
      );
    };
    const followers = [follow(0), follow(7)];
    for (let line = 1; line <= 3000; line++) {
      writer.write(`line ${line} ${'x'.repeat(line % 200)}`);
      if (line % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 2));
      if (line % 1000 === 0) followers.push(follow(line - 500), follow(line + 50));
    }
    const all = Array.from({ length: 3000 }, (_value, at) => at + 1);
    await close(database, run, writer);
    followers.push(follow(0), follow(2999), follow(3000));
    const seen = await Promise.all(followers);
    const from = [0, 7, 500, 1050, 1500, 2050, 2500, 3050, 0, 2999, 3000];
    assert.deepEqual(
      seen,
      from.map((after) => all.slice(after)),
    );
  });

  test('end for a follower who gives up, and are unknown for an attempt that never was', async () => {
    const { run, writer } = await newLog(database, { flushMs: 1 });
    writer.write('one');
    const giveUp = new AbortController();
    const seen: string[] = [];
    for await (const line of followLog(database, { buildId: run.buildId, attempt: 1 }, giveUp.signal)) {
      seen.push(line.text);
      giveUp.abort();
    }
    assert.deepEqual(seen, ['one']);
    await assert.rejects(Array.fromAsync(readLog(database, { buildId: run.buildId, attempt: 9 })), {
      code: 'not-found',
    });
    await close(database, run, writer);
  });

  test('keep their beginning and their end within the limit, and say what is missing', async () => {
    const { run, writer } = await newLog(database, { limitBytes: 2 ** 20 });
    const count = 30_000;
    for (let line = 1; line <= count; line++) {
      writer.write(`${line} ${'y'.repeat(100)}`);
      if (line % 5000 === 0) await writer.flush();
    }
    await close(database, run, writer);
    const lines = await readAll(database, run);
    const marks = lines.filter((line) => line.stream === 'kiln' && line.text.startsWith('[…'));
    assert.equal(marks.length, 1);
    const at = lines.findIndex((line) => line === marks[0]);
    const [head, tail] = [lines.slice(0, at), lines.slice(at + 1)];
    assert.deepEqual([head[0]?.sequence, tail.at(-1)?.sequence], [1, count]);
    const missing = (tail[0]?.sequence ?? 0) - (head.at(-1)?.sequence ?? 0) - 1;
    assert.match(marks[0]?.text ?? '', new RegExp(`^\\[… ${missing} lines left out .* MiB in all`));
    const [row] = await database.query<{ bytes: number; stored: number }>(
      'select sum(bytes) as bytes, sum(length(frame)) as stored from build_log_chunks where build_id = $1',
      [run.buildId],
    );
    assert((row?.bytes ?? 0) <= 2 ** 20 + 2 ** 16 && (row?.stored ?? 0) < (row?.bytes ?? 0) / 10);
    const rest = await readAll(database, run, head.at(-1)?.sequence);
    assert.deepEqual(
      rest.map((line) => line.sequence),
      [(tail[0]?.sequence ?? 0) - 1, ...tail.map((line) => line.sequence)],
    );
  });

  test('take very long lines in parts and lose nothing of them', async () => {
    const { run, writer } = await newLog(database);
    const long = 'z'.repeat(2.5 * 2 ** 20);
    writer.write(long);
    writer.write('');
    await close(database, run, writer);
    const lines = await readAll(database, run);
    assert.equal(lines.map((line) => line.text).join(''), long);
    assert.equal(lines.length, 4);
  });

  test('are not written any more once the attempt was taken away', async () => {
    const { run, writer } = await newLog(database);
    writer.write('mine');
    await writer.flush();
    await database.transaction((tx) => endAttempt(tx, run, { attempt: 'aborted', build: 'pending' }));
    writer.write('too late');
    await writer.flush();
    assert.deepEqual(
      (await readAll(database, run)).map((line) => line.text),
      ['mine'],
    );
  });

  test(
    'are followed from another process',
    { skip: under.kind === 'embedded' && 'the embedded database has one' },
    async () => {
      const { run, writer } = await newLog(database, { flushMs: 1 });
      await using other = await openDatabase(under.address);
      const selection = { buildId: run.buildId, attempt: 1 };
      const seen = Array.fromAsync(
        followLog(other, selection, AbortSignal.timeout(30_000)),
        (line) => line.text,
      );
      writer.write('over there');
      await writer.flush();
      writer.write('and there');
      await close(database, run, writer);
      assert.deepEqual(await seen, ['over there', 'and there']);
    },
  );
});

async function newLog(
  database: Database,
  options: { readonly limitBytes?: number; readonly flushMs?: number } = {},
): Promise<{ run: RunKey; writer: LogWriter }> {
  const { id } = await newBuild(database);
  const run = { buildId: id, attempt: 1, workerId: 'tester' };
  await database.query(
    `update builds set status = 'building', attempt = 1, worker_id = 'tester' where id = $1`,
    [id],
  );
  await database.transaction((tx) => beginAttempt(tx, run));
  return { run, writer: new LogWriter({ database, run, clock: systemClock, ...options }) };
}

async function close(database: Database, run: RunKey, writer: LogWriter): Promise<void> {
  await writer[Symbol.asyncDispose]();
  await database.transaction((tx) => endAttempt(tx, run, { attempt: 'success', build: 'success' }));
}

async function readAll(database: Database, run: RunKey, after?: number): Promise<LogLine[]> {
  return await Array.fromAsync(readLog(database, { buildId: run.buildId, attempt: run.attempt, after }));
}
