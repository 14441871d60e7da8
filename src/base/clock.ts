/** The only place that asks for the time, so that tests can hold it. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
}

export const systemClock: Clock = { now: () => Date.now() };

/** Seconds with millisecond precision as `YYYY-MM-DDTHH:MM:SS.mmmZ`. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
