/** Starts a program that is spoken to while it runs: bytes go in, bytes come out. */
import { spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { markedEnvironment } from './process-mark.ts';

export interface StreamedProcess extends Disposable {
  readonly input: Writable;
  /** Ends with the program; fails with the system's error if the program could not be started. */
  readonly output: Readable;
  /** 128 + signal number as a shell gives it; 127 if the program could not be started. */
  readonly exitCode: Promise<number>;
}

/** Never through a shell; standard error is dropped. Disposing sends SIGTERM. */
export function streamProcess(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): StreamedProcess {
  const child = spawn(command, args, {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: markedEnvironment(env) as NodeJS.ProcessEnv,
  });
  child.on('error', (error) => child.stdout.destroy(error));
  child.stdin.on('error', () => undefined); // the program may end without reading its input
  const exitCode = new Promise<number>((resolve) => {
    child.once('error', () => resolve(127));
    child.once('close', (code, signal) => resolve(code ?? 128 + (signal === 'SIGKILL' ? 9 : 15)));
  });
  return {
    input: child.stdin,
    output: child.stdout,
    exitCode,
    [Symbol.dispose]: () => void child.kill(),
  };
}
