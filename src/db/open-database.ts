/** Opens the database that the settings name, brought to the code's schema. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Database } from './database.ts';
import type { LockHolder } from './directory-lock.ts';
import { openEmbedded, openEmbeddedData } from './embedded-database.ts';
import type { EmbeddedTemplate } from './embedded-template.ts';
import { migrate, readMigrations } from './migrate.ts';

export interface OpenDatabaseOptions {
  /** PostgreSQL address (`DATABASE_URL`); without it the embedded database is used. */
  readonly url?: string;
  /** Folder of the embedded database, made when missing. Not touched when `url` is given. */
  readonly directory: string;
  readonly signal?: AbortSignal;
  /** Milliseconds to wait while another process uses the embedded database; default 0. */
  readonly waitMs?: number;
  /** Called once before that wait. */
  readonly onWait?: (holder: LockHolder | undefined) => void;
}

/**
 * @throws KilnError database-unreachable, database-in-use, database-too-new, invalid-config, disk-full, corrupt, cancelled
 */
export async function openDatabase(options: OpenDatabaseOptions): Promise<Database> {
  const database =
    options.url === undefined || options.url === ''
      ? await openEmbedded({ ...options, template: await currentTemplate() })
      : await connect(options.url, options.signal);
  try {
    await migrate(database);
    return database;
  } catch (error) {
    await database[Symbol.asyncDispose]();
    throw error;
  }
}

/** Imported only when asked for: the driver costs 40 ms of each start. */
async function connect(url: string, signal: AbortSignal | undefined): Promise<Database> {
  const { openPostgres } = await import('./postgres-database.ts');
  return await openPostgres({ url, signal });
}

async function currentTemplate(): Promise<EmbeddedTemplate> {
  const engine = await readFile(new URL('../package.json', import.meta.resolve('@electric-sql/pglite')));
  const migrations = await readMigrations();
  const hash = createHash('sha256').update(engine);
  for (const migration of migrations) hash.update(`\0${migration.version}\0${migration.sql}`);
  return {
    directory: fileURLToPath(new URL('../../node_modules/.cache/kiln', import.meta.url)),
    key: hash.digest('hex').slice(0, 16),
    prepare: async (data) => {
      await using database = await openEmbeddedData(data);
      await migrate(database, migrations);
    },
  };
}
