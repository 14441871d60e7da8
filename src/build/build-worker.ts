/** Takes builds from the queue and runs them, a limited number at once. */
import { systemClock, type Clock } from '../base/clock.ts';
import { KilnError } from '../base/error.ts';
import type { Database } from '../db/database.ts';
import { listenForWakeUps, type WakeUps } from '../db/wake-ups.ts';
import type { ExecuteBuild } from './attempt-context.ts';
import { beginAttempt } from './attempt-queries.ts';
import {
  BUILD_CANCEL,
  BUILD_QUEUED,
  claimNext,
  nextDue,
  notifyQueued,
  type ClaimedBuild,
} from './queue-queries.ts';
import { recoverBuilds, type Recovery } from './recover-builds.ts';
import { Interruption, runAttempt, type AttemptOptions } from './run-attempt.ts';
import { newWorkerIdentity, type WorkerIdentity } from './worker-identity.ts';
import { deleteWorker, readHeldBuilds, renewLeases, upsertWorker } from './worker-queries.ts';

export interface BuildWorkerOptions {
  readonly database: Database;
  readonly execute: ExecuteBuild;
  /** Builds at once on this machine, over all processes that use the same database. */
  readonly limit: number;
  readonly clock?: Clock;
  /** Milliseconds after which a silent worker's builds are taken from it; default 30 s. */
  readonly leaseMs?: number;
  /** Pauses before automatic new attempts after the machine's failures; default 5 s, 30 s, 120 s. */
  readonly backoffMs?: readonly number[];
  /** Bytes of a log to keep; default 64 MiB. */
  readonly logLimitBytes?: number;
  /** Told about what went wrong with the worker itself rather than with a build. */
  readonly onProblem?: (what: string, error: unknown) => void;
}

/** Disposing ends the running builds; they go back into the queue. */
export interface BuildWorker extends AsyncDisposable {
  readonly identity: WorkerIdentity;
  /** What the start found of workers that died. */
  readonly recovered: Recovery;
  /** Identifiers of the builds that run here. */
  running(): readonly string[];
  /** Takes no more builds and waits for those that run. */
  drain(): Promise<void>;
}

const LOOK_MS = 500;
const IDLE_MS = 5000;

/** Recovers what dead workers left, then takes builds until disposed. */
export async function startBuildWorker(options: BuildWorkerOptions): Promise<BuildWorker> {
  const identity = await newWorkerIdentity();
  await upsertWorker(options.database, identity, options.limit);
  const recovered = await recoverBuilds(options.database, identity.host);
  const queued = await listenForWakeUps(options.database, BUILD_QUEUED);
  const cancels = await listenForWakeUps(options.database, BUILD_CANCEL);
  return new Worker(options, identity, recovered, queued, cancels);
}

class Worker implements BuildWorker {
  readonly identity: WorkerIdentity;
  readonly recovered: Recovery;
  readonly #options: BuildWorkerOptions;
  readonly #attempt: AttemptOptions;
  readonly #queued: WakeUps;
  readonly #cancels: WakeUps;
  readonly #running = new Map<string, { readonly attempt: number; readonly abort: AbortController }>();
  readonly #attempts = new Set<Promise<void>>();
  /** Aborted: takes no more builds. */
  readonly #stopping = new AbortController();
  /** Aborted: nothing runs any more, so nothing is watched. */
  readonly #stopped = new AbortController();
  readonly #loops: readonly Promise<void>[];
  #disposed: Promise<void> | undefined;

  constructor(
    options: BuildWorkerOptions,
    identity: WorkerIdentity,
    recovered: Recovery,
    queued: WakeUps,
    cancels: WakeUps,
  ) {
    this.identity = identity;
    this.recovered = recovered;
    this.#options = options;
    this.#queued = queued;
    this.#cancels = cancels;
    this.#attempt = {
      database: options.database,
      worker: identity,
      execute: options.execute,
      clock: options.clock ?? systemClock,
      backoffMs: options.backoffMs ?? [5000, 30_000, 120_000],
      leaseMs: options.leaseMs ?? 30_000,
      logLimitBytes: options.logLimitBytes,
      onProblem: (what, error) => options.onProblem?.(what, error),
    };
    this.#loops = [this.#takeBuilds(), this.#watchBuilds()];
  }

  running(): readonly string[] {
    return [...this.#running.keys()];
  }

  async drain(): Promise<void> {
    this.#stopping.abort();
    await this.#loops[0];
    await Promise.all(this.#attempts);
    await this.#close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopping.abort();
    await this.#loops[0];
    for (const { abort } of this.#running.values()) abort.abort(new Interruption('stopping'));
    await Promise.all(this.#attempts);
    await this.#close();
  }

  async #close(): Promise<void> {
    this.#disposed ??= (async () => {
      this.#stopped.abort();
      await Promise.all(this.#loops);
      await this.#queued[Symbol.asyncDispose]();
      await this.#cancels[Symbol.asyncDispose]();
      await this.#guard('the farewell', () => deleteWorker(this.#options.database, this.identity.id));
    })();
    await this.#disposed;
  }

  async #takeBuilds(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      let pause = IDLE_MS;
      await this.#guard('the queue', async () => {
        while (!signal.aborted && this.#running.size < this.#options.limit) {
          const claimed = await this.#claim();
          if (claimed === undefined) break;
          this.#start(claimed);
        }
        const due = await nextDue(this.#options.database);
        // What is due but was not taken waits for a slot; the end of a build notifies.
        if (due !== undefined && due > 0) pause = Math.min(pause, due + 1);
      });
      await this.#queued.next(pause, signal);
    }
  }

  async #claim(): Promise<ClaimedBuild | undefined> {
    const { id: workerId, host } = this.identity;
    const request = { workerId, host, limit: this.#options.limit, leaseMs: this.#attempt.leaseMs };
    return await this.#options.database.transaction(async (tx) => {
      const claimed = await claimNext(tx, request);
      if (claimed === undefined) return undefined;
      await beginAttempt(tx, { buildId: claimed.build.id, attempt: claimed.build.attempt, workerId });
      return claimed;
    });
  }

  #start(claimed: ClaimedBuild): void {
    const { id, attempt } = claimed.build;
    const abort = new AbortController();
    this.#running.set(id, { attempt, abort });
    const done = this.#runToEnd(claimed, abort);
    this.#attempts.add(done);
    void done.finally(() => this.#attempts.delete(done));
  }

  async #runToEnd(claimed: ClaimedBuild, abort: AbortController): Promise<void> {
    const { id } = claimed.build;
    try {
      await runAttempt(this.#attempt, claimed, abort);
    } catch (error) {
      this.#attempt.onProblem(`build ${id}`, error);
    }
    if (this.#running.get(id)?.abort === abort) this.#running.delete(id);
    // The notification of the build's end may have come before its slot was free here.
    await this.#guard('the queue', () => notifyQueued(this.#options.database));
  }

  /** Looks for requests to cancel, keeps the leases, and now and then looks after other workers' builds. */
  async #watchBuilds(): Promise<void> {
    const { signal } = this.#stopped;
    const leaseMs = this.#attempt.leaseMs;
    let renewed = performance.now();
    let recovered = renewed;
    while (!signal.aborted) {
      await this.#cancels.next(this.#running.size > 0 ? LOOK_MS : Math.min(IDLE_MS, leaseMs / 4), signal);
      if (signal.aborted) return;
      const now = performance.now();
      await this.#guard('the running builds', async () => {
        if (this.#running.size > 0) await this.#look();
        if (now - renewed > leaseMs / 5) {
          await renewLeases(this.#options.database, this.identity.id, leaseMs);
          renewed = now;
        }
        if (now - recovered > leaseMs) {
          recovered = now;
          await recoverBuilds(this.#options.database, this.identity.host);
        }
      });
    }
  }

  async #look(): Promise<void> {
    const before = [...this.#running];
    const held = await readHeldBuilds(this.#options.database, this.identity.id);
    for (const [id, { attempt, abort }] of before) {
      const build = held.find((candidate) => candidate.buildId === id && candidate.attempt === attempt);
      // An attempt that just ended by itself is not held either; aborting it changes nothing any more.
      if (build === undefined) abort.abort(new Interruption('lost'));
      else if (build.cancel !== undefined) abort.abort(new KilnError('cancelled', build.cancel.message));
    }
  }

  /** The worker outlives a database that is away: it says so and looks again. */
  async #guard(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#attempt.onProblem(what, error);
    }
  }
}
