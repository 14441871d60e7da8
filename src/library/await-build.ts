/** Waits for a build that was queued, tells what happens meanwhile, and gives its result with the log. */
import { cancelBuild } from '../build/build-queue.ts';
import { isKilnError } from '../base/error.ts';
import type { BuildRecord } from '../build/build-record.ts';
import { readLog } from '../build/read-log.ts';
import { readBuildState, waitForBuild } from '../build/watch-build.ts';
import type { LogLineView, StepView } from '../pipeline/build-view.ts';
import { summarise, type BuildResult } from './build-summary.ts';
import type { OpenKiln } from './default-kiln.ts';

/** How a caller follows a build that it waits for. What a callback throws rejects the call; the build goes on. */
export interface FollowOptions {
  /** Aborting cancels the build; the call then resolves with `status: 'cancelled'`. */
  readonly signal?: AbortSignal;
  /** Called once with the identifier, before the build runs: for `getBuildStatus` and `cancelBuild` meanwhile. */
  readonly onStart?: (buildId: string) => void;
  /** Called whenever a step begins or ends. */
  readonly onStep?: (step: StepView) => void;
  /** Called for each line of the log as it comes. */
  readonly onLog?: (line: LogLineView) => void;
}

export const FOLLOW_OPTIONS: readonly (keyof FollowOptions)[] = ['signal', 'onStart', 'onStep', 'onLog'];

export async function awaitBuild(
  open: OpenKiln,
  id: string,
  options: FollowOptions,
): Promise<{ readonly result: BuildResult; readonly build: BuildRecord }> {
  const db = await open.kiln.db();
  options.onStart?.(id);
  using _cancel = cancelOnAbort(open, id, options.signal);
  if (options.onStep !== undefined || options.onLog !== undefined) {
    for await (const event of open.api.followBuild(id, { signal: open.signal })) {
      if (event.type === 'step') options.onStep?.(event.step);
      else if (event.type === 'log') options.onLog?.(event.line);
    }
  }
  const build = await waitForBuild(db, id, open.signal);
  const logs: string[] = [];
  if (build.attempt > 0)
    for await (const line of readLog(db, { buildId: id, attempt: build.attempt })) logs.push(line.text);
  return { result: { ...summarise(await readBuildState(db, id)), logs }, build };
}

function cancelOnAbort(open: OpenKiln, id: string, signal: AbortSignal | undefined): Disposable {
  const cancel = (): void => {
    void open.kiln
      .db()
      .then((db) => cancelBuild(db, id))
      // It ended by itself in the same moment.
      .catch((error: unknown) => {
        if (!isKilnError(error)) throw error;
      });
  };
  if (signal?.aborted === true) cancel();
  signal?.addEventListener('abort', cancel, { once: true });
  return { [Symbol.dispose]: () => signal?.removeEventListener('abort', cancel) };
}
