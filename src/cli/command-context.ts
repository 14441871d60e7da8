/** What every command gets: where to write, how to stop, and the way to Kiln. */
import type { Terminal } from './terminal.ts';

export interface CommandContext {
  /** Results. */
  readonly out: Terminal;
  /** Progress, logs and errors. */
  readonly err: Terminal;
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** Aborted by SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
}

/** Prints the one JSON document of `--json`. */
export function printJson(context: CommandContext, value: unknown): void {
  context.out.write(`${JSON.stringify(value, null, 2)}\n`);
}
