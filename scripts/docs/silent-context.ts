/** A command context that writes nowhere, for looking at the command definitions. */
import type { CommandContext } from '../../src/cli/command-context.ts';

export function silentContext(): CommandContext {
  const terminal = {
    live: false,
    columns: 100,
    style: (_: unknown, text: string) => text,
    write: () => undefined,
  };
  return { out: terminal, err: terminal, env: {}, cwd: '/', signal: new AbortController().signal };
}
