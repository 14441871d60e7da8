/** One build of a derivation at a time, over all workers: the second waits and then finds the result. */
import { KilnError } from '../base/error.ts';
import type { Database, Queryable } from '../db/database.ts';
import { listenForWakeUps } from '../db/wake-ups.ts';
import { setWaitingFor, type RunKey } from './build-queries.ts';
import { DERIVATION_RELEASED, releaseDerivation, takeDerivation } from './derivation-lock-queries.ts';

export interface DerivationLockOptions {
  readonly drvPath: string;
  readonly run: RunKey;
  readonly signal: AbortSignal;
  /** Milliseconds that the lock outlives its holder's last sign of life; default 30 s. */
  readonly leaseMs?: number;
}

const POLL_MS = 500;

/**
 * Runs `work` while no other build has the derivation. `waited` tells that another build had it before: its result may be
 * there now. The lock is the lease of a row, kept by the worker's heartbeat, so it does not outlive a killed worker for long.
 * @throws KilnError cancelled
 */
export async function withDerivationLock<T>(
  database: Database,
  options: DerivationLockOptions,
  work: (waited: boolean) => Promise<T>,
): Promise<T> {
  const waited = await acquire(database, options);
  try {
    return await work(waited);
  } finally {
    await releaseDerivation(database, options.drvPath, options.run);
  }
}

async function acquire(database: Database, options: DerivationLockOptions): Promise<boolean> {
  if ((await take(database, options)) === undefined) return false;
  await using wakeUps = await listenForWakeUps(
    database,
    DERIVATION_RELEASED,
    (path) => path === options.drvPath,
  );
  let told: string | undefined;
  try {
    for (;;) {
      const holder = await take(database, options);
      if (holder === undefined) return true;
      if (holder !== told) {
        await setWaitingFor(database, options.run, `waiting for ${holder}, which builds the same derivation`);
        told = holder;
      }
      await wakeUps.next(POLL_MS, options.signal);
    }
  } finally {
    if (told !== undefined) await setWaitingFor(database, options.run, null);
  }
}

async function take(database: Queryable, options: DerivationLockOptions): Promise<string | undefined> {
  if (options.signal.aborted) {
    throw new KilnError('cancelled', 'Waiting for another build of the same derivation was cancelled');
  }
  return await takeDerivation(database, options.drvPath, options.run, options.leaseMs ?? 30_000);
}
