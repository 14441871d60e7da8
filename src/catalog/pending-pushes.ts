/** Pushes to other registries that failed and are to be tried again: the table, and how long to wait. */
import type { OciDigest, RepositoryName } from '../base/brand.ts';
import type { Failure } from '../base/error.ts';
import type { Database, Queryable } from '../db/database.ts';

export interface PendingPush {
  readonly id: number;
  readonly buildId?: string;
  readonly repository: RepositoryName;
  readonly digest: OciDigest;
  /** `host/name:tag`. */
  readonly destination: string;
  readonly attempts: number;
  readonly lastError: Failure;
  readonly nextAt: Date;
  readonly createdAt: Date;
  /** Set once it was pushed. */
  readonly doneAt?: Date;
}

type PushRow = {
  id: number;
  build_id: string | null;
  repository: RepositoryName;
  digest: OciDigest;
  destination: string;
  attempts: number;
  last_error: Failure;
  next_at: Date;
  created_at: Date;
  done_at: Date | null;
};

const FIRST_WAIT_MS = 60_000;
const LONGEST_WAIT_MS = 6 * 3_600_000;
/** A push under way that is not heard of for so long is taken up by somebody else. */
const LEASE_MS = 30 * 60_000;

/** One minute, then twice as long each time up to six hours, less up to half of it by chance. */
export function waitBeforePush(attempts: number): number {
  const wait = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(20, attempts - 1));
  return wait * (0.5 + Math.random() / 2);
}

/** Remembers a push that failed. Returns the older one whose place it takes, waiting for the same destination. */
export async function addPendingPush(
  db: Database,
  push: Pick<PendingPush, 'repository' | 'digest' | 'destination'> & { readonly buildId?: string },
  failure: Failure,
): Promise<PendingPush | undefined> {
  return await db.transaction(async (tx) => {
    const replaced = await dropPendingPush(tx, push.destination);
    await tx.query(
      `insert into pending_pushes (build_id, repository, digest, destination, last_error, next_at)
       values ($1, $2, $3, $4, $5::jsonb, now() + make_interval(secs => $6::float8))
       on conflict (destination) where done_at is null do update set
         build_id = excluded.build_id, repository = excluded.repository, digest = excluded.digest,
         attempts = 1, last_error = excluded.last_error, next_at = excluded.next_at, claimed_until = null`,
      [
        push.buildId ?? null,
        push.repository,
        push.digest,
        push.destination,
        JSON.stringify(failure),
        waitBeforePush(1) / 1000,
      ],
    );
    return replaced;
  });
}

/** A newer image has reached the destination: what waited for it must not overwrite that. */
export async function dropPendingPush(db: Queryable, destination: string): Promise<PendingPush | undefined> {
  const [row] = await db.query<PushRow>(
    'delete from pending_pushes where destination = $1 and done_at is null returning *',
    [destination],
  );
  return row === undefined ? undefined : pushOf(row);
}

/** Takes the push that is due longest, for this process alone. */
export async function claimPendingPush(db: Database): Promise<PendingPush | undefined> {
  return await db.transaction(async (tx) => {
    const [row] = await tx.query<PushRow>(
      `update pending_pushes set claimed_until = now() + make_interval(secs => $1::float8)
        where id = (select id from pending_pushes
                     where done_at is null and next_at <= now() and (claimed_until is null or claimed_until < now())
                     order by next_at limit 1 for update skip locked) returning *`,
      [LEASE_MS / 1000],
    );
    return row === undefined ? undefined : pushOf(row);
  });
}

/** Only for the image that was claimed: a newer one may have taken its place meanwhile. */
export async function finishPendingPush(db: Queryable, push: PendingPush): Promise<void> {
  await db.query(
    'update pending_pushes set done_at = now(), claimed_until = null where id = $1 and digest = $2',
    [push.id, push.digest],
  );
}

export async function postponePendingPush(db: Queryable, push: PendingPush, failure: Failure): Promise<void> {
  await db.query(
    `update pending_pushes set attempts = attempts + 1, claimed_until = null, last_error = $2::jsonb,
       next_at = now() + make_interval(secs => $3::float8) where id = $1 and digest = $4`,
    [push.id, JSON.stringify(failure), waitBeforePush(push.attempts + 1) / 1000, push.digest],
  );
}

/** Gives a claimed push back untried. */
export async function returnPendingPush(db: Queryable, id: number): Promise<void> {
  await db.query('update pending_pushes set claimed_until = null where id = $1 and done_at is null', [id]);
}

/** Makes every push due that waits: for the start of a process, when the reason may be gone. */
export async function hastenPendingPushes(db: Database): Promise<void> {
  // The embedded database has one process at a time: whoever had claimed something is dead.
  const abandoned = db.kind === 'embedded' ? ', claimed_until = null' : '';
  await db.query(
    `update pending_pushes set next_at = least(next_at, now())${abandoned} where done_at is null`,
  );
}

/** Milliseconds until the next push is due; undefined where none waits. */
export async function nextPendingPush(db: Queryable): Promise<number | undefined> {
  const [row] = await db.query<{ wait: number | null }>(
    'select extract(epoch from min(greatest(next_at, claimed_until)) - now())::float8 * 1000 as wait from pending_pushes where done_at is null',
  );
  return row?.wait ?? undefined;
}

/** Those that wait, newest first; of one build also those that were done. */
export async function listPendingPushes(db: Queryable, buildId?: string): Promise<PendingPush[]> {
  const rows = await db.query<PushRow>(
    buildId === undefined
      ? 'select * from pending_pushes where done_at is null order by created_at desc, id desc'
      : 'select * from pending_pushes where build_id = $1 order by id',
    buildId === undefined ? [] : [buildId],
  );
  return rows.map(pushOf);
}

function pushOf(row: PushRow): PendingPush {
  return {
    id: row.id,
    ...(row.build_id === null ? {} : { buildId: row.build_id }),
    repository: row.repository,
    digest: row.digest,
    destination: row.destination,
    attempts: row.attempts,
    lastError: row.last_error,
    nextAt: row.next_at,
    createdAt: row.created_at,
    ...(row.done_at === null ? {} : { doneAt: row.done_at }),
  };
}
