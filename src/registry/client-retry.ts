/** Tries again what failed for a passing reason: exponential backoff with full jitter, and what the server asked for. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isKilnError, KilnError } from '../base/error.ts';

export interface RetryPolicy {
  /** Upper end of the first pause; doubles each time. Milliseconds, like the others. */
  readonly baseMs: number;
  readonly capMs: number;
  /** No further attempt starts after this. */
  readonly totalMs: number;
}

export const DEFAULT_RETRY: RetryPolicy = { baseMs: 1000, capMs: 60_000, totalMs: 15 * 60_000 };

/** Statuses that the same request may not get again. 499 and 522 come from proxies. */
const PASSING = new Set([408, 425, 429, 499, 500, 502, 503, 504, 522]);

export function isPassingStatus(status: number): boolean {
  return PASSING.has(status);
}

/** An error that {@link withRetry} tries again after, at the earliest, `afterMs`. */
export function passing(error: KilnError, afterMs = 0): KilnError {
  return new KilnError(error.code, error.message, {
    ...(error.hint === undefined ? {} : { hint: error.hint }),
    ...(error.where === undefined ? {} : { where: error.where }),
    cause: error.cause,
    fields: { ...error.fields, passing: true, afterMs },
  });
}

/** @throws the last error when it is not a passing one, or when the time is up */
export async function withRetry<T>(
  work: (attempt: number) => Promise<T>,
  policy: RetryPolicy,
  options: {
    readonly signal?: AbortSignal;
    readonly onRetry?: (error: KilnError, pauseMs: number) => void;
  } = {},
): Promise<T> {
  const started = performance.now();
  for (let attempt = 0; ; attempt++) {
    options.signal?.throwIfAborted();
    try {
      return await work(attempt);
    } catch (error) {
      if (!isKilnError(error) || error.fields['passing'] !== true || options.signal?.aborted === true)
        throw error;
      const jitter = Math.random() * Math.min(policy.capMs, policy.baseMs * 2 ** Math.min(attempt, 20));
      const pause = Math.max(Number(error.fields['afterMs'] ?? 0), jitter);
      if (performance.now() - started + pause > policy.totalMs) throw error;
      options.onRetry?.(error, pause);
      await sleep(pause, undefined, options.signal === undefined ? {} : { signal: options.signal });
    }
  }
}

/** `Retry-After`: seconds or a date (RFC 9110 section 10.2.3), in milliseconds, at most ten minutes. */
export function retryAfterMs(header: string | undefined, now: number): number {
  if (header === undefined) return 0;
  const ms = /^\d+$/.test(header.trim()) ? Number(header) * 1000 : Date.parse(header) - now;
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), 600_000) : 0;
}
