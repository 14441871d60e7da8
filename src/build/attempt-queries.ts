/** SQL for one attempt: its beginning, its steps, the programs it runs, its end. */
import type { Failure } from '../base/error.ts';
import type { Queryable } from '../db/database.ts';
import { cleanText, toJsonb } from '../db/jsonb.ts';
import { BUILD_CHANGED, type RunKey } from './build-queries.ts';
import { STEP_NAMES, type StepName, type StepStatus } from './build-record.ts';
import type { ProcessIdentity } from './process-identity.ts';

/** Run it in the transaction that claimed the build. */
export async function beginAttempt(tx: Queryable, run: RunKey): Promise<void> {
  await tx.query(
    'insert into build_attempts (build_id, attempt, status, worker_id) values ($1, $2, $3, $4)',
    [run.buildId, run.attempt, 'building', run.workerId],
  );
  await tx.query(
    `insert into build_steps (build_id, attempt, position, name, status)
     select $1, $2, position, name, 'pending' from unnest($3::text[]) with ordinality as s (name, position)`,
    [run.buildId, run.attempt, [...STEP_NAMES]],
  );
  await tx.query('select pg_notify($1, $2)', [BUILD_CHANGED, run.buildId]);
}

export interface StepChange {
  readonly status?: StepStatus;
  readonly detail?: string;
  readonly reason?: Failure;
  readonly reused?: boolean;
}

/** `running` sets the start, any ending status the end. Steps of an attempt that ended do not change any more. */
export async function changeStep(
  db: Queryable,
  run: RunKey,
  step: StepName,
  change: StepChange,
): Promise<void> {
  const ends = change.status !== undefined && change.status !== 'running';
  await db.query(
    `with changed as (
       update build_steps s set status = coalesce($4, s.status), detail = coalesce($5, s.detail),
         reason = coalesce($6::jsonb, s.reason), reused = coalesce($7, s.reused),
         started_at = case when $4 = 'running' then now() else s.started_at end,
         ended_at = case when $8 then now() when $4 = 'running' then null else s.ended_at end
       from build_attempts a
       where s.build_id = $1 and s.attempt = $2 and s.name = $3
         and a.build_id = $1 and a.attempt = $2 and a.status = 'building')
     select pg_notify('${BUILD_CHANGED}', $1)`,
    [
      run.buildId,
      run.attempt,
      step,
      change.status,
      change.detail === undefined ? undefined : cleanText(change.detail),
      change.reason === undefined ? undefined : toJsonb(change.reason),
      change.reused,
      ends,
    ],
  );
}

export interface AttemptEnd {
  readonly attempt: 'success' | 'failed' | 'cancelled' | 'aborted';
  /** `pending`: it is tried again after `delayMs`. */
  readonly build: 'success' | 'failed' | 'cancelled' | 'pending';
  readonly reason?: Failure;
  readonly delayMs?: number;
  /** What the abortion counts as, against the limits of automatic attempts. */
  readonly counts?: 'machine-failure' | 'worker-loss';
}

/** Run it in a transaction. @returns false when the attempt was not this worker's any more; nothing changed then */
export async function endAttempt(tx: Queryable, run: RunKey, end: AttemptEnd): Promise<boolean> {
  const reason = end.reason === undefined ? undefined : toJsonb(end.reason);
  const rows = await tx.query(
    `update builds set status = $4, reason = $5::jsonb, waiting_for = null, cancel_requested = null,
       worker_id = null, host = null, lease_until = null,
       ended_at = case when $4 = 'pending' then null else now() end,
       not_before = now() + make_interval(secs => $6::float8 / 1000),
       machine_failures = machine_failures + $7, worker_losses = worker_losses + $8
     where id = $1 and worker_id = $2 and attempt = $3 and status = 'building' returning id`,
    [
      run.buildId,
      run.workerId,
      run.attempt,
      end.build,
      reason,
      end.delayMs ?? 0,
      end.counts === 'machine-failure' ? 1 : 0,
      end.counts === 'worker-loss' ? 1 : 0,
    ],
  );
  if (rows.length === 0) return false;
  await closeAttempt(tx, run, end.attempt, reason);
  await tx.query(
    `select pg_notify('${BUILD_CHANGED}', $1), pg_notify('build_queued', ''), pg_notify('build_log', $1)`,
    [run.buildId],
  );
  return true;
}

async function closeAttempt(
  tx: Queryable,
  run: RunKey,
  status: string,
  reason: string | undefined,
): Promise<void> {
  const key = [run.buildId, run.attempt];
  await tx.query(
    `update build_attempts set status = $3, reason = $4::jsonb, ended_at = now(), log_closed = true
     where build_id = $1 and attempt = $2`,
    [...key, status, reason],
  );
  await tx.query(
    `update build_steps set
       status = case when status = 'running' then $3 else 'skipped' end,
       ended_at = case when status = 'running' then now() else ended_at end,
       reason = case when status = 'running' then $4::jsonb else reason end
     where build_id = $1 and attempt = $2 and status in ('pending', 'running')`,
    [...key, status, reason],
  );
  await tx.query('delete from build_processes where build_id = $1 and attempt = $2', key);
  await tx.query('delete from derivation_leases where build_id = $1 and worker_id = $2', [
    run.buildId,
    run.workerId,
  ]);
}

export async function insertProcess(
  db: Queryable,
  run: RunKey,
  host: string,
  process: ProcessIdentity,
): Promise<void> {
  await db.query(
    `insert into build_processes (build_id, attempt, host, pid, start_ticks) values ($1, $2, $3, $4, $5)
     on conflict do nothing`,
    [run.buildId, run.attempt, host, process.pid, process.startTicks],
  );
}
