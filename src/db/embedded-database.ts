/** PostgreSQL in this process (PGlite), its data in a directory that one process at a time may use. */
import { existsSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { PGlite, Results, Transaction } from '@electric-sql/pglite';
import { KilnError } from '../base/error.ts';
import { formatBytes } from '../base/units.ts';
import { checkChannel } from './channel-name.ts';
import { parseBigint, parseBytea, parseNumeric, TYPE } from './column-values.ts';
import type { Database, Queryable, Row } from './database.ts';
import { lockDirectory, type LockOptions } from './directory-lock.ts';
import { startEmbedded } from './embedded-engine.ts';
import { ensureDataDirectory, type EmbeddedTemplate } from './embedded-template.ts';
import { describeSqlFailure } from './sql-failure.ts';
import { TransactionScope } from './transaction-scope.ts';

export interface EmbeddedOptions extends LockOptions {
  /** Holds the lock and the data; made when missing. */
  readonly directory: string;
  readonly template: EmbeddedTemplate;
}

/**
 * A server has processes for checkpoints and for vacuuming, a single-user engine has none. Without checkpoints the log grows for
 * as long as this process lives, and the start after a crash replays all of it (measured: 3.8 s for 80 MiB; an idle
 * checkpoint takes 4 ms). Without vacuuming the rows of running logs, written again and again, are never reclaimed.
 */
const MAINTENANCE_MS = 20_000;
/** A new database and one segment of its log. */
const NEEDED_BYTES = 64 * 2 ** 20;
/** Row versions; a vacuum of that many takes about 0.2 s. */
const DEAD_ROWS = 2000;

/** @throws KilnError database-in-use, cancelled, disk-full, corrupt */
export async function openEmbedded(options: EmbeddedOptions): Promise<Database> {
  const lock = await lockDirectory(options.directory, options);
  try {
    const data = join(options.directory, 'data');
    if (!existsSync(data)) await demandRoom(options.directory);
    await ensureDataDirectory(data, options.template, options.signal);
    return new EmbeddedDatabase(await startEngine(data), lock, options.directory);
  } catch (error) {
    lock[Symbol.dispose]();
    throw describeSqlFailure(error, options.directory);
  }
}

/** Opens a data directory without the lock around it: for one that no other process knows yet. */
export async function openEmbeddedData(data: string): Promise<Database> {
  return new EmbeddedDatabase(await startEngine(data), { [Symbol.dispose]: () => undefined }, data);
}

class EmbeddedDatabase implements Database {
  readonly kind = 'embedded';
  readonly #engine: PGlite;
  readonly #lock: Disposable;
  readonly #where: string;
  readonly #scope = new TransactionScope();
  readonly #maintenance: NodeJS.Timeout;
  #used = false;

  constructor(engine: PGlite, lock: Disposable, where: string) {
    this.#engine = engine;
    this.#lock = lock;
    this.#where = where;
    this.#maintenance = setInterval(() => void this.#maintain(), MAINTENANCE_MS).unref();
  }

  async query<T extends Row>(sql: string, parameters?: readonly unknown[]): Promise<T[]> {
    this.#scope.refuseInside();
    this.#used = true;
    return await run<T>(this.#engine, sql, parameters, this.#where);
  }

  /** The engine has one connection; it queues transactions and the queries outside of them behind each other. */
  async transaction<T>(work: (tx: Queryable) => Promise<T>): Promise<T> {
    this.#used = true;
    return await this.#scope.run(async () => {
      try {
        return await this.#engine.transaction((tx) =>
          work({ query: (sql, parameters) => run(tx, sql, parameters, this.#where) }),
        );
      } catch (error) {
        throw describeSqlFailure(error, this.#where);
      }
    });
  }

  async listen(channel: string, onNotify: (payload: string) => void): Promise<() => Promise<void>> {
    const stop = await this.#engine.listen(checkChannel(channel), onNotify);
    return async () => {
      if (!this.#engine.closed) await stop();
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#maintenance);
    try {
      if (!this.#engine.closed) await this.#engine.close();
    } finally {
      this.#lock[Symbol.dispose]();
    }
  }

  /** A failure here is a failure of the next query too, which tells it to somebody. */
  async #maintain(): Promise<void> {
    if (!this.#used || this.#engine.closed) return;
    this.#used = false;
    try {
      const dead = 'select coalesce(sum(n_dead_tup), 0)::float8 as rows from pg_stat_all_tables';
      const [row] = (await this.#engine.query<{ rows: number }>(dead)).rows;
      if ((row?.rows ?? 0) > DEAD_ROWS) await this.#engine.exec('vacuum');
      await this.#engine.exec('checkpoint');
    } catch {
      // Told by the next query, see above.
    }
  }
}

async function startEngine(data: string): Promise<PGlite> {
  try {
    return await startEmbedded({
      dataDir: data,
      parsers: { [TYPE.int8]: parseBigint, [TYPE.numeric]: parseNumeric, [TYPE.bytea]: parseBytea },
    });
  } catch (error) {
    await demandRoom(data, error);
    throw new KilnError('corrupt', 'The embedded database does not start', {
      where: data,
      hint: 'Check that the folder is writable. If the data is damaged, restore it from a backup or move the folder away to begin anew.',
      cause: error,
    });
  }
}

/** @throws KilnError disk-full when there is none */
async function demandRoom(folder: string, cause?: unknown): Promise<void> {
  const disk = await statfs(folder).catch(() => undefined);
  const free = disk === undefined ? NEEDED_BYTES : disk.bavail * disk.bsize;
  if (free >= NEEDED_BYTES) return;
  throw new KilnError('disk-full', 'The disk has no room for the database', {
    where: `${folder}: ${formatBytes(free)} free, ${formatBytes(NEEDED_BYTES)} needed`,
    hint: 'Free space there, or set KILN_HOME to a folder on another disk.',
    cause,
  });
}

async function run<T extends Row>(
  target: PGlite | Transaction,
  sql: string,
  parameters: readonly unknown[] | undefined,
  where: string,
): Promise<T[]> {
  try {
    if (parameters === undefined || parameters.length === 0) {
      const results: Results[] = await target.exec(sql);
      return (results.at(-1)?.rows ?? []) as T[];
    }
    const values = parameters.map((value) => value ?? null);
    return (await target.query<T>(sql, values)).rows;
  } catch (error) {
    throw describeSqlFailure(error, where);
  }
}
