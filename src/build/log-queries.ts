/** SQL for logs. */
import type { Queryable } from '../db/database.ts';
import type { RunKey } from './build-queries.ts';

/** Notified with the build's identifier when lines were stored or its log ended. */
export const BUILD_LOG = 'build_log';

export interface LogChunk {
  readonly firstSequence: number;
  readonly lastSequence: number;
  /** Of the lines, before compression. */
  readonly bytes: number;
  readonly frame: Buffer;
}

export interface LogTotals {
  readonly lines: number;
  readonly bytes: number;
  readonly omittedBytes: number;
}

/**
 * Writes a chunk, or writes an open one again with more lines, and the totals with it: one statement, so all or nothing.
 * @returns false when the log was closed by another, after which nothing is written any more
 */
export async function storeChunk(
  db: Queryable,
  run: RunKey,
  chunk: LogChunk,
  totals: LogTotals,
): Promise<boolean> {
  const rows = await db.query(
    `with attempt as (
       update build_attempts set log_lines = $8, log_bytes = $9, log_omitted_bytes = $10
       where build_id = $1 and attempt = $2 and worker_id = $3 and not log_closed returning build_id),
     chunk as (
       insert into build_log_chunks (build_id, attempt, first_seq, last_seq, bytes, frame)
       select $1, $2, $4, $5, $6, $7 from attempt
       on conflict (build_id, attempt, first_seq)
         do update set last_seq = excluded.last_seq, bytes = excluded.bytes, frame = excluded.frame)
     select pg_notify('${BUILD_LOG}', $1) from attempt`,
    [
      run.buildId,
      run.attempt,
      run.workerId,
      chunk.firstSequence,
      chunk.lastSequence,
      chunk.bytes,
      chunk.frame,
      totals.lines,
      totals.bytes,
      totals.omittedBytes,
    ],
  );
  return rows.length > 0;
}

export async function deleteChunk(db: Queryable, run: RunKey, firstSequence: number): Promise<void> {
  await db.query('delete from build_log_chunks where build_id = $1 and attempt = $2 and first_seq = $3', [
    run.buildId,
    run.attempt,
    firstSequence,
  ]);
}

/** Some chunks with lines after `after`, in order. */
export async function readChunks(
  db: Queryable,
  buildId: string,
  attempt: number,
  after: number,
  limit: number,
): Promise<Buffer[]> {
  const rows = await db.query<{ frame: Buffer }>(
    `select frame from build_log_chunks where build_id = $1 and attempt = $2 and last_seq > $3
     order by first_seq limit $4`,
    [buildId, attempt, after, limit],
  );
  return rows.map((row) => row.frame);
}

export interface LogState {
  readonly lines: number;
  readonly omittedBytes: number;
  readonly closed: boolean;
}

export async function readLogState(
  db: Queryable,
  buildId: string,
  attempt: number,
): Promise<LogState | undefined> {
  const [row] = await db.query<{ lines: number; omitted: number; closed: boolean }>(
    `select log_lines as lines, log_omitted_bytes as omitted, log_closed as closed
     from build_attempts where build_id = $1 and attempt = $2`,
    [buildId, attempt],
  );
  return row === undefined ? undefined : { lines: row.lines, omittedBytes: row.omitted, closed: row.closed };
}
