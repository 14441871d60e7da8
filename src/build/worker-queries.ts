/** SQL of workers: that they live, that a build is still theirs, what others want of it. */
import type { Failure } from '../base/error.ts';
import type { Queryable } from '../db/database.ts';
import type { WorkerIdentity } from './worker-identity.ts';

export async function upsertWorker(db: Queryable, worker: WorkerIdentity, slots: number): Promise<void> {
  await db.query(
    `insert into build_workers (worker_id, host, pid, start_ticks, slots) values ($1, $2, $3, $4, $5)
     on conflict (worker_id) do update set slots = excluded.slots, seen_at = now()`,
    [worker.id, worker.host, worker.pid, worker.startTicks, slots],
  );
}

export async function deleteWorker(db: Queryable, workerId: string): Promise<void> {
  await db.query('delete from build_workers where worker_id = $1', [workerId]);
}

export interface HeldBuild {
  readonly buildId: string;
  readonly attempt: number;
  readonly cancel: Failure | undefined;
}

/** What this worker still holds, with requests to cancel. */
export async function readHeldBuilds(db: Queryable, workerId: string): Promise<HeldBuild[]> {
  const rows = await db.query<{ id: string; attempt: number; cancel_requested: Failure | null }>(
    `select id, attempt, cancel_requested from builds where worker_id = $1 and status = 'building'`,
    [workerId],
  );
  return rows.map((row) => ({
    buildId: row.id,
    attempt: row.attempt,
    cancel: row.cancel_requested ?? undefined,
  }));
}

/** Keeps the worker's builds and derivation locks for another `leaseMs`. */
export async function renewLeases(db: Queryable, workerId: string, leaseMs: number): Promise<void> {
  await db.query(
    `with worker as (update build_workers set seen_at = now() where worker_id = $1),
     locks as (
       update derivation_leases set lease_until = now() + make_interval(secs => $2::float8 / 1000) where worker_id = $1)
     update builds set lease_until = now() + make_interval(secs => $2::float8 / 1000)
     where worker_id = $1 and status = 'building'`,
    [workerId, leaseMs],
  );
}
