/** Work beside the requests, from its start until it is disposed of or Kiln stops. */
import type { Kiln } from './open-kiln.ts';

/** @param work ends soon after its signal is aborted, and reports its own failures; disposing waits for it */
export function runInBackground(kiln: Kiln, work: (signal: AbortSignal) => Promise<void>): AsyncDisposable {
  const stop = new AbortController();
  const done = work(AbortSignal.any([stop.signal, kiln.signal]));
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await done;
    },
  };
}
