/** Follows the record of a build: how it stands now and after each change, until it has ended. */
import type { Database } from '../db/database.ts';
import { listenForWakeUps } from '../db/wake-ups.ts';
import { BUILD_CHANGED, getBuild, listSteps } from './build-queries.ts';
import { isEnded, type BuildRecord, type BuildStep } from './build-record.ts';
import { queuePlaces, type QueuePlace } from './queue-queries.ts';

export interface BuildState {
  readonly build: BuildRecord;
  /** Of the attempt that runs or ran last. */
  readonly steps: readonly BuildStep[];
  /** While it waits: in the queue, or for another build. */
  readonly place?: QueuePlace;
}

const POLL_MS = 1000;

/**
 * Ends after the state in which the build has ended, or early when `signal` is aborted.
 * @throws KilnError not-found
 */
export async function* watchBuild(
  database: Database,
  id: string,
  signal: AbortSignal,
): AsyncGenerator<BuildState> {
  await using wakeUps = await listenForWakeUps(database, BUILD_CHANGED, (changed) => changed === id);
  let seen = '';
  while (!signal.aborted) {
    const state = await readBuildState(database, id);
    const fingerprint = JSON.stringify(state);
    if (fingerprint !== seen) yield state;
    seen = fingerprint;
    if (isEnded(state.build.status)) return;
    await wakeUps.next(POLL_MS, signal);
  }
}

/** @throws KilnError not-found */
export async function readBuildState(database: Database, id: string): Promise<BuildState> {
  const build = await getBuild(database, id);
  const steps = build.attempt === 0 ? [] : await listSteps(database, id, build.attempt);
  const waits = build.status === 'pending' || build.waitingFor !== undefined;
  const place = waits ? (await queuePlaces(database)).find((entry) => entry.buildId === id) : undefined;
  return { build, steps, place };
}

/** Waits until the build has ended. @throws KilnError not-found, and `signal`'s reason when aborted */
export async function waitForBuild(
  database: Database,
  id: string,
  signal: AbortSignal,
): Promise<BuildRecord> {
  for await (const { build } of watchBuild(database, id, signal)) {
    if (isEnded(build.status)) return build;
  }
  throw signal.reason;
}
