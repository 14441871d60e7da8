/** `kiln serve` as a process of its own, on a free port. */
import { spawn, type ChildProcess } from 'node:child_process';
import { tmpdir } from 'node:os';
import { KILN, type KilnHome } from './kiln-cli.ts';

export interface KilnServer extends AsyncDisposable {
  readonly url: string;
  /** What it printed on stderr so far. */
  log(): string;
  /** Resolves with the exit code when it has ended. */
  stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null>;
}

/** @param port 0 takes a free one */
export async function startServer(
  home: KilnHome,
  options: { readonly port?: number; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<KilnServer> {
  const child = spawn(KILN, ['serve', '--listen', `127.0.0.1:${options.port ?? 0}`], {
    env: { ...home.env, ...options.env },
    cwd: tmpdir(),
    stdio: ['ignore', 'inherit', 'pipe'],
  });
  let log = '';
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  const url = await new Promise<string>((resolve, reject) => {
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      log += text;
      const match = /listens on (http:\S+?):? /.exec(log);
      if (match?.[1] !== undefined) resolve(match[1]);
    });
    void ended.then((code) => reject(new Error(`kiln serve ended with ${code}: ${log}`)));
  });
  const stop = async (signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null> => {
    if (isRunning(child)) child.kill(signal);
    return await ended;
  };
  return {
    url,
    log: () => log,
    stop,
    async [Symbol.asyncDispose]() {
      await stop('SIGTERM');
    },
  };
}

function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}
