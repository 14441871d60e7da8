/** Finds builds whose worker died, ends what it left running, and queues them again: once, then they have failed. */
import type { Failure } from '../base/error.ts';
import type { Database } from '../db/database.ts';
import { endAttempt } from './attempt-queries.ts';
import { endLeftovers } from './end-leftovers.ts';
import { isSameProcess } from './process-identity.ts';
import { deleteForgottenWorkers, listRunning, type RunningBuild } from './recovery-queries.ts';

export interface Recovery {
  readonly requeued: readonly string[];
  readonly failed: readonly string[];
}

/** Automatic new attempts after a worker was lost. A build that kills its worker each time must not do so for ever. */
const MAX_LOSSES = 1;

/**
 * Safe to run in several processes at once and at any time; run at each start and now and then.
 * @param host what the caller's own worker is registered with (`WorkerIdentity.host`)
 */
export async function recoverBuilds(database: Database, host: string): Promise<Recovery> {
  const requeued: string[] = [];
  const failed: string[] = [];
  const running = await listRunning(database);
  const isLostRun = await Promise.all(running.map((run) => isLost(run, database, host)));
  const lost = running.filter((_run, at) => isLostRun[at]);
  // Before a new attempt may begin, nothing of the old one may still run.
  await Promise.all(lost.map((run) => endLeftovers(database, run, host)));
  for (const run of lost) {
    const again = run.workerLosses < MAX_LOSSES;
    const ended = await database.transaction((tx) =>
      endAttempt(tx, run, {
        attempt: 'aborted',
        build: again ? 'pending' : 'failed',
        reason: workerLost(run, again),
        counts: 'worker-loss',
      }),
    );
    if (ended) (again ? requeued : failed).push(run.buildId);
  }
  await deleteForgottenWorkers(database);
  return { requeued, failed };
}

/**
 * A lease that ran out says so for any worker. Before that, a worker of this host is lost when its process is gone; and the
 * embedded database has no other users, so whatever is not alive here is lost.
 */
async function isLost(run: RunningBuild, database: Database, host: string): Promise<boolean> {
  if (run.leaseExpired) return true;
  if (run.host === host) return run.worker === undefined || !(await isSameProcess(run.worker));
  return database.kind === 'embedded';
}

function workerLost(run: RunningBuild, again: boolean): Failure {
  return {
    code: 'worker-lost',
    message: again
      ? 'The process that ran this build ended unexpectedly; the build was queued again'
      : 'The process that ran this build ended unexpectedly, again; it is not tried another time',
    where: `worker ${run.workerId}, attempt ${run.attempt}`,
    hint: again
      ? 'Nothing needs to be done.'
      : 'Look for a lack of memory or a restart of the machine, then run `kiln retry`.',
  };
}
