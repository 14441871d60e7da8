/** One interface for PostgreSQL and its embedded twin: same SQL, same migrations. */

export type Row = Record<string, unknown>;

/** Runs SQL with `$1` parameters. `bigint` columns come back as numbers, `jsonb` as values, `timestamptz` as `Date`. */
export interface Queryable {
  query<T extends Row = Row>(sql: string, parameters?: readonly unknown[]): Promise<T[]>;
}

export interface Database extends Queryable, AsyncDisposable {
  readonly kind: 'embedded' | 'postgres';
  /** Runs `work` in one transaction; it is rolled back when `work` throws. */
  transaction<T>(work: (tx: Queryable) => Promise<T>): Promise<T>;
  /** Calls `onNotify` for each `NOTIFY channel`. A notification is a hint: readers still poll. Returns the way to stop. */
  listen(channel: string, onNotify: (payload: string) => void): Promise<() => Promise<void>>;
}
