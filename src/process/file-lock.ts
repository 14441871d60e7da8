/** A lock between processes of one machine that the kernel releases when its holder dies, however it dies. */
import { spawn } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { KilnError } from '../base/error.ts';

/**
 * Waits for the exclusive lock on `file` (created if missing, never removed) and holds it until disposed.
 * `flock` of util-linux holds it for us and ends with this process, because Node has no call for it.
 * @throws KilnError tool-missing, cancelled
 */
export async function lockFile(
  file: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<AsyncDisposable> {
  if (options.signal?.aborted) throw new KilnError('cancelled', `waiting for the lock ${file} was cancelled`);
  await mkdir(dirname(file), { recursive: true });
  // `cat` lives as long as our end of its input, so also after SIGKILL nothing stays locked.
  const child = spawn('flock', ['--exclusive', file, 'sh', '-c', 'echo locked; exec cat >/dev/null'], {
    stdio: ['pipe', 'pipe', 'ignore'],
    detached: true,
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  child.stdin.on('error', () => undefined); // it may have been killed with its process group
  await new Promise<void>((resolve, reject) => {
    const onAbort = (): void => {
      child.kill('SIGKILL');
      reject(new KilnError('cancelled', `waiting for the lock ${file} was cancelled`));
    };
    options.signal?.addEventListener('abort', onAbort, { once: true });
    const settle = (done: () => void): void => {
      options.signal?.removeEventListener('abort', onAbort);
      done();
    };
    child.once('error', (cause) =>
      settle(() =>
        reject(new KilnError('tool-missing', 'flock (util-linux) could not be started', { cause })),
      ),
    );
    child.stdout.once('data', () => settle(resolve));
    child.once('close', () =>
      settle(() => reject(new KilnError('conflict', `the lock ${file} could not be taken`))),
    );
  });
  return {
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await ended;
    },
  };
}
