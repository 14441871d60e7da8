/** Request bodies as chunks, with an end to senders that are too slow or say too much. */
import type { IncomingMessage } from 'node:http';
import { KilnError } from '../base/error.ts';

export interface SpeedLimit {
  /** Milliseconds of waiting for the sender after which its speed is judged. */
  readonly windowMs: number;
  /** Bytes that must have come in that time. */
  readonly minBytes: number;
}

/** Half a minute per KiB: far below any network that works, far above a connection held open on purpose. */
export const DEFAULT_SPEED_LIMIT: SpeedLimit = { windowMs: 30_000, minBytes: 1024 };

/**
 * The chunks of a request's body. Only time spent waiting for the sender counts: a slow disk behind the reader does not.
 * @throws KilnError client-too-slow, cancelled (the sender went away)
 */
export async function* receiveBytes(
  request: IncomingMessage,
  limit: SpeedLimit = DEFAULT_SPEED_LIMIT,
): AsyncGenerator<Buffer> {
  const iterator = (request as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  let waited = 0;
  let received = 0;
  let tooSlow = false;
  try {
    for (;;) {
      const before = performance.now();
      const timer = setTimeout(
        () => {
          tooSlow = true;
          request.destroy();
        },
        Math.max(1, limit.windowMs - waited),
      );
      const result = await iterator.next().finally(() => clearTimeout(timer));
      if (result.done === true) return;
      waited += performance.now() - before;
      received += result.value.length;
      if (received >= limit.minBytes) waited = received = 0;
      yield result.value;
    }
  } catch (error) {
    if (tooSlow) {
      throw new KilnError(
        'client-too-slow',
        `Fewer than ${limit.minBytes} bytes came in ${limit.windowMs / 1000} s`,
      );
    }
    if (request.destroyed && !request.complete) {
      throw new KilnError('cancelled', 'The client went away before its request was complete', {
        cause: error,
      });
    }
    throw error;
  }
}

/** A whole body of at most `maxBytes`. @throws KilnError too-large, client-too-slow, cancelled */
export async function receiveWhole(
  request: IncomingMessage,
  maxBytes: number,
  limit?: SpeedLimit,
): Promise<Buffer> {
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > maxBytes) throw tooLarge(maxBytes);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of receiveBytes(request, limit)) {
    size += chunk.length;
    if (size > maxBytes) throw tooLarge(maxBytes);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function tooLarge(maxBytes: number): KilnError {
  return new KilnError('too-large', `The body has more than the ${maxBytes} bytes that are allowed here`);
}
