/** A build as a stream of events, from its beginning to its end: steps, log lines and what it does right now. */
import type { Catalog } from '../catalog/catalog.ts';
import type { Database } from '../db/database.ts';
import { isEnded } from '../build/build-record.ts';
import { followLog } from '../build/read-log.ts';
import { readBuildState, watchBuild } from '../build/watch-build.ts';
import type { BuildEvent, LogPosition, StepView } from './build-view.ts';
import { viewBuild, viewLine, viewSteps } from './view-build.ts';

/** Calls `listener` for each activity of a build; returns the way to stop. */
export type ListenActivity = (buildId: string, listener: (step: string, text: string) => void) => () => void;

export interface FollowSources {
  readonly db: Database;
  readonly catalog: () => Promise<Catalog>;
  readonly activity?: ListenActivity;
}

/**
 * Log lines of the newest attempt, or of all attempts behind `after`, each once and in order; steps as they change; the end last.
 * @throws KilnError not-found
 */
export async function* followBuild(
  sources: FollowSources,
  id: string,
  options: { readonly after?: LogPosition; readonly signal: AbortSignal },
): AsyncGenerator<BuildEvent> {
  const channel = new EventChannel();
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  await readBuildState(sources.db, id); // an unknown build is an error at once
  const silence = sources.activity?.(id, (step, text) => channel.push({ type: 'activity', step, text }));
  const states = pumpStates(sources, id, options.after, channel, signal).catch((error: unknown) =>
    channel.fail(error),
  );
  try {
    yield* channel.read(options.signal);
  } finally {
    stop.abort();
    silence?.();
    await states;
  }
}

async function pumpStates(
  sources: FollowSources,
  id: string,
  after: LogPosition | undefined,
  channel: EventChannel,
  signal: AbortSignal,
): Promise<void> {
  const seen = new Map<string, string>();
  let attempt = 0;
  let log: Promise<void> = Promise.resolve();
  for await (const state of watchBuild(sources.db, id, signal)) {
    if (state.build.attempt > attempt) {
      const first = attempt === 0 ? (after?.attempt ?? state.build.attempt) : attempt + 1;
      attempt = state.build.attempt;
      seen.clear();
      for (let number = Math.max(1, first); number <= attempt; number++) {
        const behind = number === after?.attempt ? after.sequence : 0;
        log = log.then(() =>
          pumpLog(sources.db, { buildId: id, attempt: number, after: behind }, channel, signal),
        );
      }
    }
    for (const step of viewSteps(state.steps)) if (isNew(seen, step)) channel.push({ type: 'step', step });
    if (state.place !== undefined) channel.push({ type: 'queue', ...state.place });
    if (!isEnded(state.build.status)) continue;
    await log; // every line before the last word
    channel.push({ type: 'end', build: await viewBuild(state, await sources.catalog()) });
    channel.close();
    return;
  }
  channel.close();
}

async function pumpLog(
  db: Database,
  selection: { readonly buildId: string; readonly attempt: number; readonly after: number },
  channel: EventChannel,
  signal: AbortSignal,
): Promise<void> {
  const { attempt } = selection;
  for await (const line of followLog(db, selection, signal))
    channel.push({ type: 'log', attempt, line: viewLine(line) });
}

function isNew(seen: Map<string, string>, step: StepView): boolean {
  const text = JSON.stringify(step);
  const changed = step.status !== 'pending' && seen.get(step.name) !== text;
  seen.set(step.name, text);
  return changed;
}

/** Joins the producers of events into one reader. */
class EventChannel {
  #events: BuildEvent[] = [];
  #ended = false;
  #error: unknown;
  #wake: () => void = () => undefined;

  push(event: BuildEvent): void {
    const last = this.#events.at(-1);
    // A reader that is behind needs only the newest activity.
    if (event.type === 'activity' && last?.type === 'activity') this.#events.pop();
    this.#events.push(event);
    this.#wake();
  }

  close(): void {
    this.#ended = true;
    this.#wake();
  }

  fail(error: unknown): void {
    this.#error = error;
    this.close();
  }

  async *read(signal: AbortSignal): AsyncGenerator<BuildEvent> {
    const onAbort = (): void => this.close();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      while (!signal.aborted) {
        const events = this.#events;
        this.#events = [];
        yield* events;
        if (this.#events.length > 0) continue;
        if (this.#ended) break;
        await new Promise<void>((resolve) => (this.#wake = resolve));
      }
      if (this.#error !== undefined) throw this.#error;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }
}
