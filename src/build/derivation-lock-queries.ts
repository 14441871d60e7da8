/** SQL for the locks of derivations. */
import type { Queryable } from '../db/database.ts';
import type { RunKey } from './build-queries.ts';

/** Notified with the derivation's path when its lock is free. */
export const DERIVATION_RELEASED = 'derivation_released';

/** @returns undefined when the lock is taken, else the identifier of the build that has it */
export async function takeDerivation(
  db: Queryable,
  drvPath: string,
  run: RunKey,
  leaseMs: number,
): Promise<string | undefined> {
  const taken = await db.query(
    `insert into derivation_leases as held (drv_path, build_id, worker_id, lease_until)
     values ($1, $2, $3, now() + make_interval(secs => $4::float8 / 1000))
     on conflict (drv_path) do update
       set build_id = excluded.build_id, worker_id = excluded.worker_id, lease_until = excluded.lease_until
       where held.lease_until < now() or (held.build_id = excluded.build_id and held.worker_id = excluded.worker_id)
     returning drv_path`,
    [drvPath, run.buildId, run.workerId, leaseMs],
  );
  if (taken.length > 0) return undefined;
  const [row] = await db.query<{ build_id: string }>(
    'select build_id from derivation_leases where drv_path = $1',
    [drvPath],
  );
  return row?.build_id ?? 'another build';
}

export async function releaseDerivation(db: Queryable, drvPath: string, run: RunKey): Promise<void> {
  await db.query(
    `with released as (
       delete from derivation_leases where drv_path = $1 and build_id = $2 and worker_id = $3 returning drv_path)
     select pg_notify('${DERIVATION_RELEASED}', drv_path) from released`,
    [drvPath, run.buildId, run.workerId],
  );
}
