/** Opening a database: who may, which schema it gets, and what is said when it cannot be opened. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isKilnError } from '../src/base/error.ts';
import { lockDirectory } from '../src/db/directory-lock.ts';
import { migrate, readMigrations } from '../src/db/migrate.ts';
import { openDatabase } from '../src/db/open-database.ts';
import { onEachDatabase } from './harness/each-database.ts';
import { postgresMissing, startPostgres, type PostgresServer } from './harness/postgres.ts';

describe('the lock of an embedded database', () => {
  const folder = mkdtempSync(join(tmpdir(), 'kiln-lock-'));
  after(() => rmSync(folder, { recursive: true, force: true }));

  const program = `
    import { lockDirectory } from ${JSON.stringify(new URL('../src/db/directory-lock.ts', import.meta.url).href)};
    await lockDirectory(process.argv[1]);
    console.log('locked');
    setInterval(() => undefined, 1000);`;

  test('names the process that has it, and is free as soon as that process was killed', async () => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', program, folder], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await new Promise((resolve) => child.stdout.once('data', resolve));
    await assert.rejects(lockDirectory(folder), (error) => {
      assert(isKilnError(error) && error.code === 'database-in-use');
      assert.equal(error.fields['pid'], child.pid);
      assert.match(error.message, new RegExp(`process ${child.pid}\\b`));
      return true;
    });
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    (await lockDirectory(folder))[Symbol.dispose]();
  });

  test('can be waited for, with a notice and an end to the patience', async () => {
    const first = await lockDirectory(folder);
    const notices: unknown[] = [];
    const waiting = lockDirectory(folder, { waitMs: 60_000, onWait: (holder) => notices.push(holder?.pid) });
    await assert.rejects(lockDirectory(folder, { waitMs: 60 }), { code: 'database-in-use' });
    first[Symbol.dispose]();
    (await waiting)[Symbol.dispose]();
    assert.deepEqual(notices, [process.pid]);
  });

  test('stops waiting when the caller gives up', async () => {
    using _first = await lockDirectory(folder);
    await assert.rejects(lockDirectory(folder, { waitMs: 60_000, signal: AbortSignal.timeout(20) }), {
      code: 'cancelled',
    });
  });
});

onEachDatabase('migrations', (under) => {
  test('are applied once, in order, also when many start together', async () => {
    const migrations = [
      ...(await readMigrations()),
      {
        version: 9001,
        name: 'one',
        sql: 'create table migrated (n integer); insert into migrated values (1)',
      },
      {
        version: 9002,
        name: 'two',
        sql: 'insert into migrated select 2; alter table migrated add m integer',
      },
    ];
    await Promise.all(Array.from({ length: 5 }, () => migrate(under.database, migrations)));
    assert.deepEqual(await under.database.query('select n from migrated order by n'), [{ n: 1 }, { n: 2 }]);
    await migrate(under.database, migrations);
    const applied = await under.database.query<{ version: number }>(
      'select version from schema_migrations order by version',
    );
    assert.deepEqual(
      applied.map((row) => row.version),
      migrations.map((migration) => migration.version),
    );
  });

  test('that fail leave nothing behind and are tried again', async () => {
    const known = [
      ...(await under.database.query<{ version: number; name: string }>('select * from schema_migrations')),
    ].map((row) => ({ ...row, sql: '' }));
    const broken = { version: 9003, name: 'broken', sql: 'create table half (n integer); select 1 / 0' };
    await assert.rejects(migrate(under.database, [...known, broken]), /division by zero/);
    await migrate(under.database, [...known, { ...broken, sql: 'create table half (n integer)' }]);
    assert.deepEqual(await under.database.query('select * from half'), []);
  });

  test('of a newer version are not touched', async () => {
    await assert.rejects(migrate(under.database, await readMigrations()), { code: 'database-too-new' });
  });
});

describe('an embedded database', () => {
  const folder = mkdtempSync(join(tmpdir(), 'kiln-embedded-'));
  after(() => rmSync(folder, { recursive: true, force: true }));

  test('keeps what was written when it is closed and opened again, and says who uses it meanwhile', async () => {
    const directory = join(folder, 'db');
    const first = await openDatabase({ directory });
    await first.query('create table notes (text text)');
    await first.query('insert into notes values ($1)', ['kept']);
    await assert.rejects(openDatabase({ directory }), { code: 'database-in-use' });
    await first[Symbol.asyncDispose]();
    await using again = await openDatabase({ directory });
    assert.deepEqual(await again.query('select text from notes'), [{ text: 'kept' }]);
  });
});

describe('a PostgreSQL server', { skip: postgresMissing() ?? false }, () => {
  let server: PostgresServer;
  before(async () => {
    server = await startPostgres();
  });
  after(() => server[Symbol.asyncDispose]());

  test('that went away is an error of its own, and is used again once it is back', async () => {
    await using database = await openDatabase({
      url: await server.createDatabase('away'),
      directory: '/nonexistent',
    });
    const seen: string[] = [];
    await database.listen('away', (payload) => seen.push(payload));
    await server.restart();
    for (let back = false; !back;) {
      back = await database.query('select 1').then(
        () => true,
        (error: unknown) => {
          assert(isKilnError(error) && error.code === 'database-unreachable', String(error));
          return false;
        },
      );
    }
    while (!seen.includes('again')) {
      await database.query(`select pg_notify('away', 'again')`);
      await sleep(50);
    }
  });

  test('without that database is named with what to do', async () => {
    const url = (await server.createDatabase('present')).replace('/present?', '/absent?');
    await assert.rejects(openDatabase({ url, directory: '/nonexistent' }), (error) => {
      assert(isKilnError(error) && error.code === 'database-unreachable');
      assert.match(error.hint ?? '', /createdb/);
      return true;
    });
  });
});

describe('an address where no database is', () => {
  test('is named without its password', async () => {
    const port = await freePort();
    await assert.rejects(
      openDatabase({ url: `postgres://me:hunter22@127.0.0.1:${port}/kiln`, directory: '/nonexistent' }),
      (error) => {
        assert(isKilnError(error) && error.code === 'database-unreachable');
        assert.equal(error.where, `127.0.0.1:${port}/kiln`);
        assert.doesNotMatch(JSON.stringify([Object.entries(error), error.message]), /hunter22/);
        return true;
      },
    );
  });

  test('that is no address of PostgreSQL is refused', async () => {
    for (const url of ['mysql://me:hunter22@host/db', 'host', 'postgres://me:hunter22@ho st:port/x']) {
      await assert.rejects(openDatabase({ url, directory: '/nonexistent' }), (error) => {
        assert(isKilnError(error) && ['invalid-config', 'database-unreachable'].includes(error.code));
        assert.doesNotMatch(error.message + String(error.where), /hunter22/);
        return true;
      });
    }
  });
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
