/** The `kiln` program: reads the command line, runs one command, turns errors into messages and exit codes. */
import { enableCompileCache } from 'node:module';
import { CommanderError } from 'commander';
import { describeFailure, ERRORS } from '../base/error.ts';
import { redact } from '../base/secret.ts';
import type { CommandContext } from './command-context.ts';
import { createProgram } from './create-program.ts';
import { printFailure } from './print-error.ts';
import { openTerminal } from './terminal.ts';

enableCompileCache();

const EXIT_USAGE = 2;
const EXIT_BUG = 70;
const EXIT_INTERRUPTED = 130;

process.exitCode = await main(process.argv.slice(2));

async function main(args: string[]): Promise<number> {
  const stop = new AbortController();
  let signals = 0;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      // The second one ends at once: what holds processes or files is then cleaned up at the next start.
      if (++signals > 1) process.exit(EXIT_INTERRUPTED);
      stop.abort();
    });
  }
  const context: CommandContext = {
    out: openTerminal(process.stdout, process.env),
    err: openTerminal(process.stderr, process.env),
    env: process.env,
    cwd: process.cwd(),
    signal: stop.signal,
  };
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0); // `kiln builds | head`
    throw error;
  });
  try {
    const program = createProgram(context);
    await program.parseAsync(args, { from: 'user' });
    return typeof process.exitCode === 'number' ? process.exitCode : 0;
  } catch (error) {
    return report(context, args, error);
  }
}

function report(context: CommandContext, args: readonly string[], error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
  const failure = describeFailure(error);
  const shown = {
    ...failure,
    message: redact(failure.message),
    ...(failure.where === undefined ? {} : { where: redact(failure.where) }),
  };
  if (args.includes('--json')) context.out.write(`${JSON.stringify({ error: shown }, null, 2)}\n`);
  printFailure(context.err, shown);
  if (context.signal.aborted) return EXIT_INTERRUPTED;
  return failure.code === 'bug' ? EXIT_BUG : ERRORS[failure.code].exit;
}
