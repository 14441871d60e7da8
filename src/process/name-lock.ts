/** A lock between processes of one machine that cannot be left behind: the kernel frees it when its holder ends, however it ends. */
import { createHash } from 'node:crypto';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { KilnError, systemErrorCode } from '../base/error.ts';

/**
 * Waits until nobody else holds `name` (any text). Holders are found within one network namespace of Linux: the lock is an
 * abstract socket. Disposing frees it.
 * @throws KilnError cancelled
 */
export async function lockName(name: string, signal?: AbortSignal): Promise<AsyncDisposable> {
  const address = `\0kiln-lock-${createHash('sha256').update(name).digest('hex')}`;
  for (;;) {
    if (signal?.aborted === true) throw new KilnError('cancelled', 'Waiting for a lock was cancelled');
    const held = await tryListen(address);
    if (held !== undefined) return held;
    await untilFreed(address, signal);
  }
}

async function tryListen(address: string): Promise<AsyncDisposable | undefined> {
  const waiting = new Set<Socket>();
  const server: Server = createServer((socket) => {
    waiting.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => waiting.delete(socket));
  });
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  server.once('error', (error) => (systemErrorCode(error) === 'EADDRINUSE' ? resolve(false) : reject(error)));
  server.listen(address, () => resolve(true));
  if (!(await promise)) return undefined;
  // A forgotten lock must not keep the process alive.
  server.unref();
  return {
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((done) => server.close(done));
      for (const socket of waiting) socket.destroy();
      await closed;
    },
  };
}

/** Stays connected to the holder; the connection ends with the lock. */
async function untilFreed(address: string, signal?: AbortSignal): Promise<void> {
  const socket = connect(address);
  const onAbort = (): void => void socket.destroy();
  signal?.addEventListener('abort', onAbort, { once: true });
  await new Promise<void>((resolve) => {
    socket.on('error', () => undefined);
    socket.on('close', () => resolve());
    socket.resume();
  });
  signal?.removeEventListener('abort', onAbort);
}
