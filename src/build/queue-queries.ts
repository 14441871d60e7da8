/** SQL for the queue, which is the table of builds itself: what waits, whose turn it is, who may stop it. */
import type { Failure } from '../base/error.ts';
import type { Queryable } from '../db/database.ts';
import { toJsonb } from '../db/jsonb.ts';
import type { BuildRecord, BuildStatus } from './build-record.ts';
import { toRecord, type BuildRow } from './build-row.ts';

/** Notified when a build may be claimed: workers look again. */
export const BUILD_QUEUED = 'build_queued';
/** Notified with the identifier of a running build that is to end. */
export const BUILD_CANCEL = 'build_cancel';

/** Cancels what waits under the same key with a smaller number. @returns the identifiers */
export async function supersedePending(
  db: Queryable,
  newer: { readonly id: string; readonly number: number; readonly key: string },
  reason: Failure,
): Promise<string[]> {
  const rows = await db.query<{ id: string }>(
    `update builds set status = 'cancelled', reason = $3, ended_at = now()
     where supersede_key = $1 and number < $2 and status = 'pending' returning id`,
    [newer.key, newer.number, toJsonb(reason)],
  );
  return rows.map((row) => row.id);
}

export interface ClaimRequest {
  readonly workerId: string;
  readonly host: string;
  /** Builds at once on this host, over all of its processes. */
  readonly limit: number;
  readonly leaseMs: number;
}

export interface ClaimedBuild {
  readonly build: BuildRecord;
  /** Attempts that ended for the machine's reasons since the build was last asked for. */
  readonly machineFailures: number;
}

/**
 * Takes the next build: of the service with the fewest running builds, then of the one served longest ago.
 * Run it in a transaction. Claims of one host are serialised, so that two processes cannot both take its last slot.
 */
export async function claimNext(tx: Queryable, request: ClaimRequest): Promise<ClaimedBuild | undefined> {
  await tx.query(`select pg_advisory_xact_lock(hashtextextended($1, 1))`, [request.host]);
  const [busy] = await tx.query<{ count: number }>(
    `select count(*) as count from builds where status = 'building' and host = $1`,
    [request.host],
  );
  if ((busy?.count ?? 0) >= request.limit) return undefined;
  const [row] = await tx.query<BuildRow>(
    `with next as (
       select b.id from builds b left join service_turns t using (service_id)
       where b.status = 'pending' and b.not_before <= now()
       order by (select count(*) from builds r where r.status = 'building' and r.service_id = b.service_id),
         t.served_at nulls first, b.queued_at, b.number
       limit 1 for update of b skip locked)
     update builds b set status = 'building', attempt = attempt + 1, worker_id = $1, host = $2, started_at = now(),
       ended_at = null, reason = null, cancel_requested = null, waiting_for = null,
       lease_until = now() + make_interval(secs => $3::float8 / 1000)
     from next where b.id = next.id returning b.*`,
    [request.workerId, request.host, request.leaseMs],
  );
  if (row === undefined) return undefined;
  await tx.query(
    `insert into service_turns (service_id, served_at) values ($1, clock_timestamp())
     on conflict (service_id) do update set served_at = excluded.served_at`,
    [row.service_id],
  );
  return { build: toRecord(row), machineFailures: row.machine_failures };
}

/** Milliseconds until the next build that waits for its time may be claimed. */
export async function nextDue(db: Queryable): Promise<number | undefined> {
  const [row] = await db.query<{ ms: number | null }>(
    `select extract(epoch from min(not_before) - now())::float8 * 1000 as ms from builds where status = 'pending'`,
  );
  return row?.ms ?? undefined;
}

export interface QueuePlace {
  readonly buildId: string;
  /** 1 is next. 0 for a running build that waits for something. */
  readonly position: number;
  /** Why it waits, as words for people. */
  readonly reason: string;
}

interface PlaceRow {
  readonly id: string;
  readonly position: number;
  readonly due_in: number;
  readonly reason: Failure | null;
  readonly slots: number;
  [column: string]: unknown;
}

/** Everything that waits in the order in which it will be taken, with running builds that wait for others first. */
export async function queuePlaces(db: Queryable): Promise<QueuePlace[]> {
  const stuck = await db.query<{ id: string; waiting_for: string }>(
    `select id, waiting_for from builds where status = 'building' and waiting_for is not null order by number`,
  );
  const rows = await db.query<PlaceRow>(
    `with waiting as (
       select b.id, b.number, b.queued_at, b.reason, t.served_at,
         extract(epoch from b.not_before - now())::float8 as due_in,
         row_number() over (partition by b.service_id order by b.queued_at, b.number)
           + (select count(*) from builds r where r.status = 'building' and r.service_id = b.service_id) as turn
       from builds b left join service_turns t using (service_id) where b.status = 'pending')
     select id, due_in, reason,
       row_number() over (order by greatest(due_in, 0), turn, served_at nulls first, queued_at, number) as position,
       (select coalesce(sum(slots), 0) from (
         select max(slots) as slots from build_workers where seen_at > now() - interval '30 seconds' group by host) w) as slots
     from waiting order by position`,
  );
  return [
    ...stuck.map((row) => ({ buildId: row.id, position: 0, reason: row.waiting_for })),
    ...rows.map((row) => ({ buildId: row.id, position: row.position, reason: whyPending(row) })),
  ];
}

function whyPending(row: PlaceRow): string {
  if (row.due_in > 0) {
    const because = row.reason === null ? '' : `: ${row.reason.message}`;
    return `waiting ${Math.ceil(row.due_in)} s to try again${because}`;
  }
  if (row.slots === 0) return 'waiting for a worker to start';
  return row.slots === 1 ? 'waiting for the only build slot' : `waiting for one of ${row.slots} build slots`;
}

/** The status with the row locked until the transaction ends. */
export async function lockStatus(tx: Queryable, id: string): Promise<BuildStatus | undefined> {
  const [row] = await tx.query<{ status: BuildStatus }>(
    'select status from builds where id = $1 for update',
    [id],
  );
  return row?.status;
}

export async function cancelPending(tx: Queryable, id: string, reason: Failure): Promise<void> {
  await tx.query(`update builds set status = 'cancelled', reason = $2, ended_at = now() where id = $1`, [
    id,
    toJsonb(reason),
  ]);
}

/** The worker notices by the notification, at the latest at its next look. */
export async function requestCancel(tx: Queryable, id: string, reason: Failure): Promise<void> {
  await tx.query('update builds set cancel_requested = $2 where id = $1 and cancel_requested is null', [
    id,
    toJsonb(reason),
  ]);
  await tx.query('select pg_notify($1, $2)', [BUILD_CANCEL, id]);
}

export async function requeue(tx: Queryable, id: string): Promise<void> {
  await tx.query(
    `update builds set status = 'pending', reason = null, machine_failures = 0, worker_losses = 0, ended_at = null,
       queued_at = now(), not_before = now(), worker_id = null, host = null, lease_until = null where id = $1`,
    [id],
  );
}

export async function notifyQueued(db: Queryable): Promise<void> {
  await db.query(`select pg_notify('${BUILD_QUEUED}', '')`);
}
