/** Waits for a notification or a moment, whichever comes first: a notification is only a hint, the reader looks again anyway. */
import type { Database } from './database.ts';

export interface WakeUps extends AsyncDisposable {
  /** Resolves after a notification since the last call, after `ms`, or at once when `signal` is aborted. */
  next(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Listens from the moment it resolves; `wants` chooses among the channel's payloads. */
export async function listenForWakeUps(
  database: Database,
  channel: string,
  wants: (payload: string) => boolean = () => true,
): Promise<WakeUps> {
  let notified = false;
  let wake: (() => void) | undefined;
  const stop = await database.listen(channel, (payload) => {
    if (!wants(payload)) return;
    notified = true;
    wake?.();
  });
  return {
    async next(ms, signal) {
      if (!notified && signal?.aborted !== true) {
        const { promise, resolve } = Promise.withResolvers<void>();
        wake = resolve;
        const timer = setTimeout(resolve, ms);
        signal?.addEventListener('abort', wake, { once: true });
        await promise;
        clearTimeout(timer);
        signal?.removeEventListener('abort', wake);
        wake = undefined;
      }
      notified = false;
    },
    async [Symbol.asyncDispose]() {
      wake?.();
      await stop();
    },
  };
}
