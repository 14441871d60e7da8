/** What people and hooks do with builds: ask for one, stop it, ask again. */
import { systemClock, type Clock } from '../base/clock.ts';
import { KilnError, type Failure } from '../base/error.ts';
import type { Database } from '../db/database.ts';
import type { BuildOptions, SourceSpec } from '../source/source.ts';
import { buildNotFound, getBuild, insertBuild, notifyChanged } from './build-queries.ts';
import {
  DEFAULT_BUILD_TIMEOUT_S,
  DEFAULT_SILENCE_TIMEOUT_S,
  MAX_BUILD_TIMEOUT_S,
  newBuildId,
  type BuildRecord,
} from './build-record.ts';
import {
  cancelPending,
  lockStatus,
  notifyQueued,
  requestCancel,
  requeue,
  supersedePending,
} from './queue-queries.ts';

export interface NewBuild {
  /** Default: a new one. Must not be in use. */
  readonly id?: string;
  readonly serviceId: string;
  readonly organizationId?: string;
  /** Short name for people. */
  readonly slug: string;
  readonly source: SourceSpec;
  readonly options?: BuildOptions;
  /** What is to become of the result, as plain data without secrets. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Branch that a push moved: this build replaces those of the same service and branch that still wait. */
  readonly supersedesBranch?: string;
}

/**
 * Stores the build as `pending` and tells the workers.
 * @returns the record and the identifiers of the builds that it replaced
 * @throws KilnError invalid-input for time limits out of range
 */
export async function enqueueBuild(
  database: Database,
  build: NewBuild,
  clock: Clock = systemClock,
): Promise<{ build: BuildRecord; superseded: readonly string[] }> {
  const options = build.options ?? {};
  const branch = build.supersedesBranch;
  const supersedeKey = branch === undefined ? undefined : JSON.stringify([build.serviceId, branch]);
  const row = {
    id: build.id ?? newBuildId(clock),
    serviceId: build.serviceId,
    organizationId: build.organizationId,
    slug: build.slug,
    source: build.source,
    options,
    settings: build.settings ?? {},
    supersedeKey,
    branch,
    timeoutSeconds: checkSeconds('buildTimeout', options.buildTimeout, DEFAULT_BUILD_TIMEOUT_S),
    silenceSeconds: checkSeconds('silenceTimeout', options.silenceTimeout, DEFAULT_SILENCE_TIMEOUT_S),
  };
  return await database.transaction(async (tx) => {
    const record = await insertBuild(tx, row);
    const { id, number } = record;
    const superseded =
      supersedeKey === undefined
        ? []
        : await supersedePending(tx, { id, number, key: supersedeKey }, supersededBy(record));
    for (const old of superseded) await notifyChanged(tx, old);
    await notifyQueued(tx);
    return { build: record, superseded };
  });
}

/**
 * Cancels at once what waits; a running build ends within moments, with its whole process tree.
 * @throws KilnError not-found; conflict when it has ended
 */
export async function cancelBuild(
  database: Database,
  id: string,
  why = 'Cancelled by request',
): Promise<BuildRecord> {
  const reason: Failure = { code: 'cancelled', message: why };
  await database.transaction(async (tx) => {
    const status = await lockStatus(tx, id);
    if (status === undefined) throw buildNotFound(id);
    if (status === 'pending') await cancelPending(tx, id, reason);
    else if (status === 'building') await requestCancel(tx, id, reason);
    else throw new KilnError('conflict', `Build ${id} has already ended (${status})`);
    await notifyChanged(tx, id);
  });
  return await getBuild(database, id);
}

/**
 * Queues a new attempt of the same build; earlier attempts and their logs stay.
 * @throws KilnError not-found; conflict unless it failed or was cancelled
 */
export async function retryBuild(database: Database, id: string): Promise<BuildRecord> {
  await database.transaction(async (tx) => {
    const status = await lockStatus(tx, id);
    if (status === undefined) throw buildNotFound(id);
    if (status !== 'failed' && status !== 'cancelled') {
      throw new KilnError('conflict', `Build ${id} cannot be tried again: it is ${status}`, {
        hint: 'Only failed and cancelled builds can. Start a new build instead.',
      });
    }
    await requeue(tx, id);
    await notifyChanged(tx, id);
    await notifyQueued(tx);
  });
  return await getBuild(database, id);
}

function supersededBy(newer: BuildRecord): Failure {
  return {
    code: 'cancelled',
    message: `Superseded by build ${newer.id}, a newer push to the same branch`,
    fields: { supersededBy: newer.id },
  };
}

function checkSeconds(name: string, value: number | undefined, byDefault: number): number {
  const seconds = value ?? byDefault;
  if (Number.isInteger(seconds) && seconds >= 1 && seconds <= MAX_BUILD_TIMEOUT_S) return seconds;
  throw new KilnError(
    'invalid-input',
    `${name} must be a whole number of seconds from 1 to ${MAX_BUILD_TIMEOUT_S}`,
    {
      where: `${name}: ${seconds}`,
    },
  );
}
