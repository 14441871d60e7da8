/** The Kiln that the public classes use: one per process, opened by the first call, from the environment variables. */
import { debuglog } from 'node:util';
import { createLocalApi, type LocalApi } from '../app/local-api.ts';
import { openKiln, type Kiln } from '../app/open-kiln.ts';
import { KilnError } from '../base/error.ts';
import type { BuildWorker } from '../build/build-worker.ts';

export interface OpenKiln {
  readonly kiln: Kiln;
  readonly api: LocalApi;
  /** Takes builds from the queue in this process from now on. */
  startWorker(): Promise<BuildWorker>;
  /** Aborted when Kiln is closed. */
  readonly signal: AbortSignal;
}

interface Holder extends OpenKiln {
  /** Builds that run in this process. */
  running(): number;
  close(reason: KilnError): Promise<void>;
}

/** Without calls for so long, all is closed again: a script can end, and other processes get at the embedded database. */
const IDLE_MS = 2000;
const DATABASE_WAIT_MS = 10_000;
const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Shown with `NODE_DEBUG=kiln`: what is being installed or waited for. */
const notice = debuglog('kiln');

let current: Promise<Holder> | undefined;
let closing: Promise<void> = Promise.resolve();
let calls = 0;
let idle: NodeJS.Timeout | undefined;

/**
 * Runs `work` with the process's Kiln.
 * @throws KilnError invalid-config, database-unreachable, database-in-use, tool-missing, and what `work` throws
 */
export async function withKiln<T>(work: (open: OpenKiln) => Promise<T>): Promise<T> {
  enter();
  try {
    return await work(await open());
  } finally {
    leave();
  }
}

/** Like {@link withKiln} for what is read bit by bit. */
export async function* iterateWithKiln<T>(work: (open: OpenKiln) => AsyncIterable<T>): AsyncGenerator<T> {
  enter();
  try {
    yield* work(await open());
  } finally {
    leave();
  }
}

/**
 * Closes what the calls of this process opened: the database, the worker, the store. Builds that run go back into the
 * queue and go on with the next start; calls that wait for them reject with `cancelled`. Nothing happens when nothing is
 * open, and the next call opens everything again. Also done after 2 s without calls, and on SIGINT, SIGTERM and SIGHUP.
 */
export async function closeKiln(): Promise<void> {
  const holder = current;
  current = undefined;
  clearTimeout(idle);
  if (holder !== undefined) {
    for (const signal of ENDING) process.off(signal, endWithSignal);
    const reason = new KilnError('cancelled', 'Kiln was closed in this process', {
      hint: 'A build that was running is in the queue and goes on with the next start.',
    });
    const before = closing;
    closing = (async () => {
      await before;
      const opened = await holder.catch(() => undefined);
      await opened?.close(reason);
    })();
  }
  await closing;
}

function enter(): void {
  calls++;
  clearTimeout(idle);
}

function leave(): void {
  calls--;
  if (calls === 0 && current !== undefined) idle = setTimeout(() => void closeWhenIdle(), IDLE_MS);
}

async function closeWhenIdle(): Promise<void> {
  const holder = await current?.catch(() => undefined);
  if (calls > 0) return;
  if (holder !== undefined && holder.running() > 0) idle = setTimeout(() => void closeWhenIdle(), IDLE_MS);
  else await closeKiln();
}

async function open(): Promise<OpenKiln> {
  // Until the last one is closed, its database is locked.
  while (current === undefined) {
    const before = closing;
    await before;
    if (closing === before) current ??= openHolder();
  }
  const holder = current;
  try {
    return await holder;
  } catch (error) {
    if (current === holder) current = undefined;
    throw error;
  }
}

async function openHolder(): Promise<Holder> {
  const ending = new AbortController();
  const kiln = await openKiln({
    env: { ...process.env },
    signal: ending.signal,
    onNotice: (line) => notice('%s', line),
    databaseWaitMs: DATABASE_WAIT_MS,
  });
  // Not local: addresses and expressions come from the users of the program around this library.
  const api = createLocalApi(kiln, { local: false });
  for (const signal of ENDING) process.once(signal, endWithSignal);
  let worker: BuildWorker | undefined;
  return {
    kiln,
    api,
    signal: ending.signal,
    running: () => worker?.running().length ?? 0,
    async startWorker() {
      worker = await api.startWorker();
      return worker;
    },
    async close(reason) {
      ending.abort(reason);
      await api[Symbol.asyncDispose]();
    },
  };
}

/** A program with handlers of its own decides itself when it ends; without any, the signal does what it always does. */
function endWithSignal(signal: NodeJS.Signals): void {
  void closeKiln().finally(() => {
    if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
  });
}
