/** One attempt of a build from its claim to its end, whatever happens in between. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Clock } from '../base/clock.ts';
import { ERRORS, KilnError, describeFailure, isKilnError, type Failure } from '../base/error.ts';
import type { Database } from '../db/database.ts';
import { withProcessMark } from '../process/process-mark.ts';
import type { BuildContext, ExecuteBuild } from './attempt-context.ts';
import { endAttempt, insertProcess, type AttemptEnd } from './attempt-queries.ts';
import { updateFacts, type RunKey } from './build-queries.ts';
import type { BuildFacts } from './build-record.ts';
import { withDerivationLock } from './derivation-lock.ts';
import { attemptEnvironment } from './end-leftovers.ts';
import { LogWriter } from './log-writer.ts';
import { identifyProcess } from './process-identity.ts';
import type { ClaimedBuild } from './queue-queries.ts';
import { StepTracker } from './step-tracker.ts';
import type { WorkerIdentity } from './worker-identity.ts';

export interface AttemptOptions {
  readonly database: Database;
  readonly worker: WorkerIdentity;
  readonly execute: ExecuteBuild;
  readonly clock: Clock;
  /** Pauses before automatic new attempts, in milliseconds; as many as there are pauses. */
  readonly backoffMs: readonly number[];
  readonly leaseMs: number;
  readonly logLimitBytes?: number;
  readonly onProblem: (what: string, error: unknown) => void;
}

/** Why a worker ends a build that nobody cancelled. */
export class Interruption extends Error {
  /** `stopping`: the build goes back into the queue. `lost`: it is another worker's now; nothing may be written. */
  readonly kind: 'stopping' | 'lost';

  constructor(kind: 'stopping' | 'lost') {
    super(kind === 'stopping' ? 'The worker stops' : 'The build was given to another worker');
    this.kind = kind;
  }
}

/** Never rejects: what cannot be stored is left to the recovery. `abort` is how the worker ends it early. */
export async function runAttempt(
  options: AttemptOptions,
  claimed: ClaimedBuild,
  abort: AbortController,
): Promise<void> {
  const { build } = claimed;
  const run: RunKey = { buildId: build.id, attempt: build.attempt, workerId: options.worker.id };
  const { database, clock } = options;
  const writer = new LogWriter({ database, run, clock, limitBytes: options.logLimitBytes });
  const tracker = new StepTracker(database, run);
  const deadline = setTimeout(() => abort.abort(timedOut(build.timeoutSeconds)), build.timeoutSeconds * 1000);
  let end: AttemptEnd;
  let facts: BuildFacts = {};
  try {
    const context = makeContext(options, run, { writer, tracker }, abort.signal, build.silenceSeconds);
    facts = await withProcessMark(context.environment, () => options.execute(build, context));
    end = { attempt: 'success', build: 'success' };
  } catch (error) {
    const cause: unknown = abort.signal.aborted
      ? withPlace(abort.signal.reason, error, tracker.latest)
      : error;
    if (cause instanceof Interruption && cause.kind === 'lost') return;
    end = decideEnd(cause, claimed.machineFailures, options.backoffMs);
    if (end.reason !== undefined) writeReason(writer, end.reason);
    if (end.reason?.code === 'bug') options.onProblem(`build ${build.id}`, error);
  } finally {
    clearTimeout(deadline);
  }
  await finish(options, run, writer, facts, end);
}

function makeContext(
  options: AttemptOptions,
  run: RunKey,
  { writer, tracker }: { readonly writer: LogWriter; readonly tracker: StepTracker },
  signal: AbortSignal,
  silenceSeconds: number,
): BuildContext {
  const { database } = options;
  return {
    signal,
    silenceMs: silenceSeconds * 1000,
    step: (name, work) => {
      if (signal.aborted) throw asError(signal.reason);
      return tracker.step(name, work);
    },
    skipStep: (name, detail) => tracker.skip(name, detail),
    log: (text, context) => writer.write(text, { step: tracker.current, ...context }),
    hide: (secrets) => writer.hide(secrets),
    environment: attemptEnvironment(run),
    recordProcess: (pid) => {
      void identifyProcess(pid)
        .then((identity) => identity && insertProcess(database, run, options.worker.host, identity))
        .catch((error: unknown) => options.onProblem(`process ${pid} of build ${run.buildId}`, error));
    },
    record: async (facts) => {
      await updateFacts(database, run, facts);
    },
    withDerivation: (drvPath, work) =>
      withDerivationLock(database, { drvPath, run, signal, leaseMs: options.leaseMs }, work),
  };
}

function decideEnd(cause: unknown, machineFailures: number, backoffMs: readonly number[]): AttemptEnd {
  if (cause instanceof Interruption) {
    const reason: Failure = {
      code: 'worker-lost',
      message: 'The worker was stopped; the build was queued again',
    };
    return { attempt: 'aborted', build: 'pending', reason };
  }
  const reason = describeFailure(cause);
  if (reason.code === 'cancelled') return { attempt: 'cancelled', build: 'cancelled', reason };
  if (reason.code === 'bug' || ERRORS[reason.code].retry !== 'backoff')
    return { attempt: 'failed', build: 'failed', reason };
  const delayMs = backoffMs[machineFailures];
  // The machine's reasons are no verdict on the build, also when there are no more attempts.
  if (delayMs === undefined)
    return { attempt: 'aborted', build: 'failed', reason, counts: 'machine-failure' };
  return { attempt: 'aborted', build: 'pending', reason, delayMs, counts: 'machine-failure' };
}

function writeReason(writer: LogWriter, reason: Failure): void {
  writer.write(reason.message);
  if (reason.where !== undefined && reason.where !== '') writer.write(reason.where);
  if (reason.hint !== undefined) writer.write(reason.hint);
}

const FINISH_ATTEMPTS = 20;
const FINISH_PAUSE_MS = 500;

/** A database that is away for a moment must not turn a finished build into a lost one. */
async function finish(
  options: AttemptOptions,
  run: RunKey,
  writer: LogWriter,
  facts: BuildFacts,
  end: AttemptEnd,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await writer.flush();
      await options.database.transaction(async (tx) => {
        await updateFacts(tx, run, facts);
        await endAttempt(tx, run, end);
      });
      await writer[Symbol.asyncDispose]();
      return;
    } catch (error) {
      if (attempt < FINISH_ATTEMPTS && isKilnError(error) && error.retry === 'backoff') {
        await sleep(FINISH_PAUSE_MS);
        continue;
      }
      options.onProblem(`the end of build ${run.buildId}`, error);
      return;
    }
  }
}

function timedOut(seconds: number): KilnError {
  return new KilnError('timed-out', `The build did not end within ${seconds} s`, {
    hint: 'Give it more time with --timeout (buildTimeout; 60 minutes at most), or make it faster: a binary cache, fewer dependencies.',
  });
}

/** The limit says why the build ended; the work that it interrupted knows where. */
function withPlace(reason: unknown, interrupted: unknown, step: string | undefined): unknown {
  if (!isKilnError(reason) || reason.code !== 'timed-out') return reason;
  const place = isKilnError(interrupted) ? interrupted.where : undefined;
  return new KilnError('timed-out', reason.message, {
    ...(reason.hint === undefined ? {} : { hint: reason.hint }),
    where: [`in the step ${step ?? 'initiate'}`, place].filter((part) => part !== undefined).join('\n'),
    ...(isKilnError(interrupted) ? { fields: interrupted.fields } : {}),
    cause: interrupted,
  });
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
