/** One interface for PostgreSQL and its embedded twin: same SQL, same migrations. */

export type Row = Record<string, unknown>;

/**
 * Runs SQL with `$1` parameters; without parameters the text may hold several statements and the last one's rows come back.
 * `bigint` and `numeric` columns come back as numbers, `jsonb` as values, `timestamptz` as `Date`, `bytea` as `Buffer`.
 * A `jsonb` parameter is passed as JSON text (`JSON.stringify`): an array would be taken for an SQL array.
 */
export interface Queryable {
  query<T extends Row = Row>(sql: string, parameters?: readonly unknown[]): Promise<T[]>;
}

export interface Database extends Queryable, AsyncDisposable {
  readonly kind: 'embedded' | 'postgres';
  /**
   * Runs `work` in one transaction; it is rolled back when `work` throws, and run again when it lost against a concurrent one.
   * Inside, only `tx` may be used: a query on the database itself is refused (the embedded one has a single connection).
   */
  transaction<T>(work: (tx: Queryable) => Promise<T>): Promise<T>;
  /** Calls `onNotify` for each `NOTIFY channel`. A notification is a hint: readers still poll. Returns the way to stop. */
  listen(channel: string, onNotify: (payload: string) => void): Promise<() => Promise<void>>;
}
