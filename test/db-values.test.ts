/** Both kinds of database answer alike. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { toJsonb } from '../src/db/jsonb.ts';
import { sqlState } from '../src/db/sql-failure.ts';
import { listenForWakeUps } from '../src/db/wake-ups.ts';
import { onEachDatabase } from './harness/each-database.ts';

onEachDatabase('values and transactions', (under) => {
  test('big integers, sums, documents, times, bytes, arrays and nulls come back as the same values', async () => {
    const [row] = await under.database.query(
      `select 9007199254740991::bigint as big, sum(n::bigint) as sum, avg(n) as avg, $1::jsonb as doc, $2::timestamptz as at,
         $3::bytea as bytes, $4::text[] as words, $5::text as nothing, true as yes, count(*) as count
       from generate_series(1, 4) n`,
      [
        toJsonb([{ a: 'x\0y', b: ['\ud800'] }]),
        new Date(1_700_000_000_123),
        Buffer.from([0, 255, 92]),
        ['a', '"b,'],
        undefined,
      ],
    );
    assert.deepEqual(row, {
      big: Number.MAX_SAFE_INTEGER,
      sum: 10,
      avg: 2.5,
      doc: [{ a: 'x\ufffdy', b: ['\ufffd'] }],
      at: new Date(1_700_000_000_123),
      bytes: Buffer.from([0, 255, 92]),
      words: ['a', '"b,'],
      nothing: null,
      yes: true,
      count: 4,
    });
  });

  test('a big integer that a number cannot hold is refused', async () => {
    await assert.rejects(
      under.database.query('select 9007199254740993::bigint as big'),
      /does not fit a number/,
    );
    assert.deepEqual(await under.database.query('select 1 as one'), [{ one: 1 }]);
  });

  test('several statements without parameters run together and give the rows of the last', async () => {
    const rows = await under.database.query(
      'create table several (n integer); insert into several values (1), (2); select n from several',
    );
    assert.deepEqual(rows, [{ n: 1 }, { n: 2 }]);
  });

  test('what a failed transaction wrote is not there, and the next one works', async () => {
    await under.database.query('create table kept (n integer primary key)');
    await assert.rejects(
      under.database.transaction(async (tx) => {
        await tx.query('insert into kept values (1)');
        throw new Error('no');
      }),
      /^Error: no$/,
    );
    const twice = under.database.transaction(async (tx) => {
      await tx.query('insert into kept values ($1)', [2]);
      await tx.query('insert into kept values ($1)', [2]);
    });
    await assert.rejects(twice, (error) => sqlState(error) === '23505');
    await under.database.transaction((tx) => tx.query('insert into kept values (3)'));
    assert.deepEqual(await under.database.query('select n from kept'), [{ n: 3 }]);
  });

  test('concurrent transactions that read and write do not lose an update', async () => {
    await under.database.query('create table counters (n integer); insert into counters values (0)');
    const add = (): Promise<unknown> =>
      under.database.transaction(async (tx) => {
        const [row] = await tx.query<{ n: number }>('select n from counters for update');
        await tx.query('update counters set n = $1', [(row?.n ?? 0) + 1]);
      });
    await Promise.all(Array.from({ length: 20 }, add));
    assert.deepEqual(await under.database.query('select n from counters'), [{ n: 20 }]);
  });

  test(
    'transactions that lock each other out are run again until both are done',
    { skip: under.kind === 'embedded' },
    async () => {
      await under.database.query(
        'create table pair (id integer primary key, n integer); insert into pair values (1, 0), (2, 0)',
      );
      const both = (first: number, second: number): Promise<void> =>
        under.database.transaction(async (tx) => {
          await tx.query('update pair set n = n + 1 where id = $1', [first]);
          await sleep(50);
          await tx.query('update pair set n = n + 1 where id = $1', [second]);
        });
      await Promise.all([both(1, 2), both(2, 1)]);
      assert.deepEqual(await under.database.query('select n from pair'), [{ n: 2 }, { n: 2 }]);
    },
  );

  test('a query on the database inside a transaction is refused instead of waiting for itself', async () => {
    await assert.rejects(
      under.database.transaction(() => under.database.query('select 1')),
      /must use the transaction/,
    );
  });

  test('notifications reach their listeners after the commit and only while they listen', async () => {
    const seen: string[] = [];
    const wakeUps = await listenForWakeUps(under.database, 'test_channel', (payload) => payload !== 'other');
    const stop = await under.database.listen('test_channel', (payload) => seen.push(payload));
    await under.database.query('select pg_notify($1, $2)', ['test_channel', 'one']);
    await under.database.transaction((tx) => tx.query('select pg_notify($1, $2)', ['test_channel', 'two']));
    await assert.rejects(
      under.database.transaction(async (tx) => {
        await tx.query('select pg_notify($1, $2)', ['test_channel', 'never']);
        throw new Error('rolled back');
      }),
    );
    await wakeUps.next(5000);
    while (seen.length < 2) await sleep(5);
    await stop();
    await under.database.query('select pg_notify($1, $2)', ['test_channel', 'late']);
    await wakeUps.next(5000);
    await wakeUps[Symbol.asyncDispose]();
    assert.deepEqual(seen, ['one', 'two']);
  });
});
