/** Brings a database to the code's schema: `migrations/NNNN-name.sql` in order, each in a transaction of its own. */
import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { KilnError } from '../base/error.ts';
import type { Database, Queryable } from './database.ts';

export interface Migration {
  readonly version: number;
  readonly name: string;
  readonly sql: string;
}

const FOLDER = new URL('./migrations/', import.meta.url);
/** Any number, the same in every process: the advisory lock of migrations. */
const LOCK = 0x6b696c6e;

/** The migrations that come with the code, by version. @throws Error for a misnamed file or a version used twice */
export async function readMigrations(): Promise<readonly Migration[]> {
  const names = (await readdir(FOLDER)).filter((name) => name.endsWith('.sql')).sort();
  const migrations = await Promise.all(names.map(readMigration));
  const twice = migrations.find((migration, at) => migrations[at - 1]?.version === migration.version);
  if (twice !== undefined) throw new Error(`Two migrations have the version ${twice.version}`);
  return migrations;
}

/**
 * Applies what is missing; one query when nothing is. Processes that start together wait for each other.
 * @throws KilnError database-too-new
 */
export async function migrate(database: Database, migrations?: readonly Migration[]): Promise<void> {
  const known = migrations ?? (await readMigrations());
  const applied = await readApplied(database);
  refuseNewer(applied, known);
  if (known.every((migration) => applied.has(migration.version))) return;
  for (const migration of known) {
    if (!applied.has(migration.version)) await apply(database, migration, known);
  }
}

async function readMigration(name: string): Promise<Migration> {
  const match = /^(\d{4})-([a-z0-9-]+)\.sql$/.exec(name);
  if (match === null) throw new Error(`${fileURLToPath(FOLDER)}${name} is not named NNNN-name.sql`);
  return {
    version: Number(match[1]),
    name: match[2] ?? '',
    sql: await readFile(new URL(name, FOLDER), 'utf8'),
  };
}

async function apply(database: Database, migration: Migration, known: readonly Migration[]): Promise<void> {
  await database.transaction(async (tx) => {
    await tx.query('select pg_advisory_xact_lock($1)', [LOCK]);
    await tx.query(`create table if not exists schema_migrations (
      version integer primary key, name text not null, applied_at timestamptz not null default now())`);
    const applied = await readApplied(tx);
    refuseNewer(applied, known);
    if (applied.has(migration.version)) return;
    await tx.query(migration.sql);
    await tx.query('insert into schema_migrations (version, name) values ($1, $2)', [
      migration.version,
      migration.name,
    ]);
  });
}

async function readApplied(source: Queryable): Promise<Map<number, string>> {
  const [exists] = await source.query<{ found: boolean }>(
    `select to_regclass('schema_migrations') is not null as found`,
  );
  if (exists?.found !== true) return new Map();
  const rows = await source.query<{ version: number; name: string }>(
    'select version, name from schema_migrations',
  );
  return new Map(rows.map((row) => [row.version, row.name]));
}

function refuseNewer(applied: ReadonlyMap<number, string>, known: readonly Migration[]): void {
  const versions = new Set(known.map((migration) => migration.version));
  for (const [version, name] of applied) {
    if (versions.has(version)) continue;
    throw new KilnError(
      'database-too-new',
      `The database was written by a newer Kiln (migration ${version}, ${name})`,
      {
        hint: 'Install that version of Kiln again, or restore the backup from before the upgrade.',
      },
    );
  }
}
