/** SQL for builds whose worker may be gone. */
import type { Queryable } from '../db/database.ts';
import type { ProcessIdentity } from './process-identity.ts';

export interface RunningBuild {
  readonly buildId: string;
  readonly attempt: number;
  readonly workerId: string;
  readonly host: string;
  readonly leaseExpired: boolean;
  /** The worker's process, if the worker is still registered. */
  readonly worker: ProcessIdentity | undefined;
  readonly workerLosses: number;
}

interface RunningRow {
  readonly id: string;
  readonly attempt: number;
  readonly worker_id: string;
  readonly host: string;
  readonly expired: boolean;
  readonly pid: number | null;
  readonly start_ticks: string | null;
  readonly worker_losses: number;
  [column: string]: unknown;
}

export async function listRunning(db: Queryable): Promise<RunningBuild[]> {
  const rows = await db.query<RunningRow>(
    `select b.id, b.attempt, b.worker_id, b.host, b.lease_until < now() as expired, w.pid, w.start_ticks, b.worker_losses
     from builds b left join build_workers w using (worker_id) where b.status = 'building' order by b.number`,
  );
  return rows.map((row) => ({
    buildId: row.id,
    attempt: row.attempt,
    workerId: row.worker_id,
    host: row.host,
    leaseExpired: row.expired,
    worker:
      row.pid === null || row.start_ticks === null
        ? undefined
        : { pid: row.pid, startTicks: row.start_ticks },
    workerLosses: row.worker_losses,
  }));
}

/** The programs that the attempt started on `host`, as far as they were recorded. */
export async function listProcesses(
  db: Queryable,
  buildId: string,
  attempt: number,
  host: string,
): Promise<ProcessIdentity[]> {
  const rows = await db.query<{ pid: number; start_ticks: string }>(
    'select pid, start_ticks from build_processes where build_id = $1 and attempt = $2 and host = $3',
    [buildId, attempt, host],
  );
  return rows.map((row) => ({ pid: row.pid, startTicks: row.start_ticks }));
}

export async function deleteForgottenWorkers(db: Queryable): Promise<void> {
  await db.query(`delete from build_workers where seen_at < now() - interval '1 day'`);
}
