/** Runs the same tests on the embedded database and on PostgreSQL. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe } from 'node:test';
import type { Database } from '../../src/db/database.ts';
import { openDatabase } from '../../src/db/open-database.ts';
import { postgresMissing, startPostgres, type PostgresServer } from './postgres.ts';

export interface DatabaseUnderTest {
  readonly kind: 'embedded' | 'postgres';
  /** Open during the tests. */
  readonly database: Database;
  /** How a process opens the same database; the embedded one must be closed first. */
  readonly address: { readonly url?: string; readonly directory: string };
  /** A server of the tests' own, on PostgreSQL. */
  readonly server?: PostgresServer;
}

/** Declares `suite` once for each kind. What it is given may be read inside the tests, not while they are declared. */
export function onEachDatabase(title: string, suite: (under: DatabaseUnderTest) => void): void {
  for (const kind of ['embedded', 'postgres'] as const) {
    const skip = kind === 'postgres' ? (postgresMissing() ?? false) : false;
    describe(`${title} (${kind})`, { skip }, () => {
      let database: Database | undefined;
      let server: PostgresServer | undefined;
      let address: DatabaseUnderTest['address'] | undefined;
      const folder = mkdtempSync(join(tmpdir(), 'kiln-db-'));
      before(async () => {
        server = kind === 'postgres' ? await startPostgres() : undefined;
        address = { url: await server?.createDatabase('kiln'), directory: join(folder, 'db') };
        database = await openDatabase(address);
      });
      after(async () => {
        await database?.[Symbol.asyncDispose]();
        await server?.[Symbol.asyncDispose]();
        rmSync(folder, { recursive: true, force: true });
      });
      suite({
        kind,
        get database() {
          return opened(database);
        },
        get address() {
          return opened(address);
        },
        get server() {
          return server;
        },
      });
    });
  }
}

function opened<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('The database is open only while the tests run');
  return value;
}
