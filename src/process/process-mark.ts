/** Variables that every program gets which is started on behalf of one piece of work, however deep in the call it is started. */
import { AsyncLocalStorage } from 'node:async_hooks';

export type ProcessMark = Readonly<Record<string, string>>;

const marks = new AsyncLocalStorage<ProcessMark>();

/** Runs `work`; programs that it starts carry `mark` in their environment, and hand it on to what they start. */
export function withProcessMark<T>(mark: ProcessMark, work: () => T): T {
  return marks.run(mark, work);
}

/** `env`, or this process's environment when undefined, with the mark of the work that asks. */
export function markedEnvironment(
  env: Readonly<Record<string, string | undefined>> | undefined,
): Readonly<Record<string, string | undefined>> | undefined {
  const mark = marks.getStore();
  return mark === undefined ? env : { ...(env ?? process.env), ...mark };
}
