/** PostgreSQL through a pool of connections. */
import { Client, Pool, types, type PoolClient, type QueryResult } from 'pg';
import { KilnError } from '../base/error.ts';
import { parseBigint, parseNumeric, TYPE } from './column-values.ts';
import type { Database, Queryable, Row } from './database.ts';
import { PostgresListener } from './postgres-listener.ts';
import { describeSqlFailure, isTransactionConflict, unreachable } from './sql-failure.ts';
import { TransactionScope } from './transaction-scope.ts';

export interface PostgresOptions {
  /** `postgres://user:password@host:port/database`; `?host=/run/postgresql` for a socket. */
  readonly url: string;
  readonly signal?: AbortSignal;
  /** Most connections at once; default 10. */
  readonly connections?: number;
}

const CONNECT_TIMEOUT_MS = 10_000;
const MAX_ATTEMPTS = 4;

/**
 * Connects once before it returns, so that a wrong address is told at the start.
 * @throws KilnError invalid-config, database-unreachable, cancelled
 */
export async function openPostgres(options: PostgresOptions): Promise<Database> {
  const where = describeAddress(options.url);
  const config = {
    connectionString: options.url,
    application_name: 'kiln',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    types: { getTypeParser },
  };
  const pool = new Pool({ ...config, max: options.connections ?? 10 });
  // An idle connection that breaks is replaced by the pool; the next query tells if the server is gone.
  pool.on('error', () => undefined);
  try {
    await withSignal(pool.query('select 1'), options.signal);
  } catch (error) {
    void pool.end();
    throw error instanceof KilnError ? error : unreachable(error, where);
  }
  return new PostgresDatabase(pool, new PostgresListener(() => new Client(config)), where);
}

class PostgresDatabase implements Database {
  readonly kind = 'postgres';
  readonly #pool: Pool;
  readonly #listener: PostgresListener;
  readonly #where: string;
  readonly #scope = new TransactionScope();

  constructor(pool: Pool, listener: PostgresListener, where: string) {
    this.#pool = pool;
    this.#listener = listener;
    this.#where = where;
  }

  async query<T extends Row>(sql: string, parameters?: readonly unknown[]): Promise<T[]> {
    this.#scope.refuseInside();
    return await run<T>(this.#pool, sql, parameters, this.#where);
  }

  async transaction<T>(work: (tx: Queryable) => Promise<T>): Promise<T> {
    return await this.#scope.run(async () => {
      for (let attempt = 1; ; attempt++) {
        try {
          return await this.#transactOnce(work);
        } catch (error) {
          if (attempt === MAX_ATTEMPTS || !isTransactionConflict(error)) throw error;
        }
      }
    });
  }

  async listen(channel: string, onNotify: (payload: string) => void): Promise<() => Promise<void>> {
    try {
      return await this.#listener.listen(channel, onNotify);
    } catch (error) {
      throw describeSqlFailure(error, this.#where);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listener[Symbol.asyncDispose]();
    await this.#pool.end();
  }

  async #transactOnce<T>(work: (tx: Queryable) => Promise<T>): Promise<T> {
    const client = await this.#connect();
    let broken: Error | undefined;
    try {
      await run(client, 'begin', undefined, this.#where);
      const result = await work({ query: (sql, parameters) => run(client, sql, parameters, this.#where) });
      await run(client, 'commit', undefined, this.#where);
      return result;
    } catch (error) {
      await client.query('rollback').catch((failure: Error) => (broken = failure));
      throw error;
    } finally {
      client.release(broken);
    }
  }

  async #connect(): Promise<PoolClient> {
    try {
      return await this.#pool.connect();
    } catch (error) {
      throw describeSqlFailure(error, this.#where);
    }
  }
}

async function run<T extends Row>(
  target: Pool | PoolClient,
  sql: string,
  parameters: readonly unknown[] | undefined,
  where: string,
): Promise<T[]> {
  try {
    if (parameters !== undefined && parameters.length > 0)
      return (await target.query<T>(sql, [...parameters])).rows;
    // Without parameters the text may hold several statements; the driver then gives one result for each.
    const results = await target.query<T>(sql);
    const all: readonly QueryResult<T>[] = Array.isArray(results) ? results : [results];
    return all.at(-1)?.rows ?? [];
  } catch (error) {
    throw describeSqlFailure(error, where);
  }
}

function getTypeParser(oid: number, format?: 'text' | 'binary'): (text: string) => unknown {
  if (oid === TYPE.int8) return parseBigint;
  if (oid === TYPE.numeric) return parseNumeric;
  return types.getTypeParser(oid, format as 'text');
}

/** Host, port and database of the address, never its password. @throws KilnError invalid-config */
function describeAddress(url: string): string {
  if (!/^postgres(ql)?:\/\//.test(url)) throw badAddress();
  try {
    const { host, port, database } = new Client({ connectionString: url });
    return `${host}:${port}/${database ?? ''}`;
  } catch {
    throw badAddress();
  }
}

function badAddress(): KilnError {
  return new KilnError('invalid-config', 'DATABASE_URL is not an address of a PostgreSQL database', {
    hint: 'Write it as postgres://user:password@host:5432/database.',
  });
}

async function withSignal<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await work;
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(new KilnError('cancelled', 'Connecting to the database was cancelled'));
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
    work.catch(() => undefined);
  }
}
