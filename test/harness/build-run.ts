/** Builds for the tests of the queue: what they are asked for with, and a worker that ends with the test. */
import type { Database } from '../../src/db/database.ts';
import { enqueueBuild, type NewBuild } from '../../src/build/build-queue.ts';
import { startBuildWorker, type BuildWorker, type BuildWorkerOptions } from '../../src/build/build-worker.ts';
import { waitForBuild } from '../../src/build/watch-build.ts';
import type { BuildRecord } from '../../src/build/build-record.ts';

export async function newBuild(database: Database, changes: Partial<NewBuild> = {}): Promise<BuildRecord> {
  const source = { kind: 'expression', expression: '1' } as const;
  return (await enqueueBuild(database, { serviceId: 'service', slug: 'app', source, ...changes })).build;
}

/** Problems of the worker itself fail the test that it belongs to. */
export async function startWorker(
  database: Database,
  execute: BuildWorkerOptions['execute'],
  options: Partial<BuildWorkerOptions> = {},
): Promise<BuildWorker> {
  const onProblem = (what: string, error: unknown): void => {
    throw new Error(`A problem with ${what}`, { cause: error });
  };
  return await startBuildWorker({ database, execute, limit: 4, onProblem, ...options });
}

export async function untilEnded(database: Database, id: string): Promise<BuildRecord> {
  return await waitForBuild(database, id, AbortSignal.timeout(30_000));
}

/** A promise to hold an execution at, and its release. */
export function gate(): { readonly opened: Promise<void>; open(): void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}
