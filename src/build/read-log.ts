/** Reads a build's log: what is stored, and what follows while it is written, here or in another process. */
import { formatBytes } from '../base/units.ts';
import { KilnError } from '../base/error.ts';
import type { Database } from '../db/database.ts';
import { listenForWakeUps } from '../db/wake-ups.ts';
import { decodeFrame, type LogLine } from './log-line.ts';
import { BUILD_LOG, readChunks, readLogState, type LogState } from './log-queries.ts';

export interface LogSelection {
  readonly buildId: string;
  readonly attempt: number;
  /** Only lines with a larger sequence number; default 0, everything. */
  readonly after?: number;
  /** Only lines of this derivation. */
  readonly derivation?: string;
}

const CHUNKS_AT_ONCE = 16;
const POLL_MS = 500;

/**
 * The lines stored now, in order. Where lines were left out stands one line of stream `kiln` that says how many; it has the
 * sequence number of the last of them, so reading on `after` it is exact.
 * @throws KilnError not-found when there is no such attempt
 */
export async function* readLog(database: Database, selection: LogSelection): AsyncGenerator<LogLine> {
  const state = await stateOf(database, selection);
  yield* readStored(database, selection, selection.after ?? 0, state);
}

/**
 * All lines after `after`, each once and in order, until the attempt's log is closed. Ends early, without an error, when
 * `signal` is aborted.
 * @throws KilnError not-found when there is no such attempt
 */
export async function* followLog(
  database: Database,
  selection: LogSelection,
  signal: AbortSignal,
): AsyncGenerator<LogLine> {
  // Listening begins before the first look: what is written in between wakes the loop.
  await using wakeUps = await listenForWakeUps(database, BUILD_LOG, (id) => id === selection.buildId);
  let after = selection.after ?? 0;
  while (!signal.aborted) {
    // Closed as of before the reading: then nothing can come after what is read.
    const state = await stateOf(database, selection);
    for await (const line of readStored(database, { ...selection, derivation: undefined }, after, state)) {
      after = line.sequence;
      if (isWanted(line, selection.derivation)) yield line;
      if (signal.aborted) return;
    }
    if (state.closed) return;
    await wakeUps.next(POLL_MS, signal);
  }
}

/** The stored log as text: time, step, and line, separated by spaces. */
export async function* downloadLog(database: Database, selection: LogSelection): AsyncGenerator<string> {
  for await (const line of readLog(database, selection)) {
    const step = line.step === undefined ? '' : `${line.step}: `;
    yield `${new Date(line.at).toISOString()} ${line.stream.padEnd(6)} ${step}${line.text}\n`;
  }
}

async function stateOf(database: Database, selection: LogSelection): Promise<LogState> {
  const state = await readLogState(database, selection.buildId, selection.attempt);
  if (state !== undefined) return state;
  throw new KilnError('not-found', `Build ${selection.buildId} has no attempt ${selection.attempt}`);
}

async function* readStored(
  database: Database,
  selection: LogSelection,
  from: number,
  state: LogState,
): AsyncGenerator<LogLine> {
  let after = from;
  for (;;) {
    const frames = await readChunks(database, selection.buildId, selection.attempt, after, CHUNKS_AT_ONCE);
    for (const frame of frames) {
      for (const line of await decodeFrame(frame)) {
        if (line.sequence <= after) continue;
        if (line.sequence > after + 1) yield leftOut(line, after, state);
        after = line.sequence;
        if (isWanted(line, selection.derivation)) yield line;
      }
    }
    if (frames.length < CHUNKS_AT_ONCE) break;
  }
  if (state.closed && state.lines > after)
    yield leftOut({ sequence: state.lines + 1, at: Date.now() }, after, state);
}

function leftOut(next: Pick<LogLine, 'sequence' | 'at'>, after: number, state: LogState): LogLine {
  const count = next.sequence - after - 1;
  const size = state.omittedBytes > 0 ? `, ${formatBytes(state.omittedBytes)} in all` : '';
  const text = `[… ${count} ${count === 1 ? 'line' : 'lines'} left out by the size limit of logs${size} …]`;
  return { sequence: next.sequence - 1, at: next.at, stream: 'kiln', text };
}

function isWanted(line: LogLine, derivation: string | undefined): boolean {
  return derivation === undefined || line.derivation === derivation;
}
