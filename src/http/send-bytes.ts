/** Answers with bytes that are produced while they are sent. */
import type { FastifyReply } from 'fastify';
import type { ServerResponse } from 'node:http';
import { KilnError } from '../base/error.ts';

export interface BytesToSend {
  readonly status: 200 | 206;
  readonly headers: Readonly<Record<string, string>>;
  /**
   * Bytes that `open` gives; fewer or more break the connection rather than look complete. Without it they are sent in
   * chunks, whose end mark is missing when something goes wrong.
   */
  readonly length?: number;
  readonly open: (signal: AbortSignal) => AsyncIterable<Buffer>;
  /** Milliseconds that a receiver may leave one chunk unread. Default one minute. */
  readonly stallMs?: number;
}

/**
 * Sends the bytes. What goes wrong before the first chunk is thrown, so that the caller can still answer with an error;
 * after that the connection is destroyed, which a client sees as an incomplete body.
 */
export async function sendBytes(reply: FastifyReply, bytes: BytesToSend): Promise<void> {
  const response = reply.raw;
  const abort = new AbortController();
  const onClose = (): void => abort.abort(new KilnError('cancelled', 'The client went away'));
  response.once('close', onClose);
  const iterator = bytes.open(abort.signal)[Symbol.asyncIterator]();
  try {
    const first = await iterator.next();
    reply.hijack();
    response.writeHead(bytes.status, {
      ...flatHeaders(reply),
      ...bytes.headers,
      ...(bytes.length === undefined ? {} : { 'content-length': String(bytes.length) }),
    });
    try {
      await pump(response, iterator, first, bytes);
      response.end();
    } catch (error) {
      if (!abort.signal.aborted) reply.log.error({ err: error }, 'sending failed midway');
      response.destroy();
    }
  } finally {
    response.off('close', onClose);
    await iterator.return?.();
  }
}

async function pump(
  response: ServerResponse,
  iterator: AsyncIterator<Buffer>,
  first: IteratorResult<Buffer>,
  bytes: BytesToSend,
): Promise<void> {
  let sent = 0;
  for (let next = first; next.done !== true; next = await iterator.next()) {
    sent += next.value.length;
    if (sent > (bytes.length ?? Number.POSITIVE_INFINITY)) break;
    if (!response.write(next.value)) await drained(response, bytes.stallMs ?? 60_000);
  }
  if (bytes.length !== undefined && sent !== bytes.length)
    throw new KilnError('corrupt', `${sent} bytes were produced where ${bytes.length} were announced`);
}

function drained(response: ServerResponse, stallMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = (settle: () => void): void => {
      clearTimeout(timer);
      response.off('drain', onDrain);
      response.off('close', onClose);
      settle();
    };
    const onDrain = (): void => finish(resolve);
    const onClose = (): void => finish(() => reject(new KilnError('cancelled', 'The client went away')));
    const timer = setTimeout(
      () =>
        finish(() =>
          reject(new KilnError('client-too-slow', `The client read nothing for ${stallMs / 1000} s`)),
        ),
      stallMs,
    );
    response.once('drain', onDrain);
    response.once('close', onClose);
    if (response.destroyed) onClose();
  });
}

function flatHeaders(reply: FastifyReply): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    if (value !== undefined) headers[name] = typeof value === 'number' ? String(value) : value;
  }
  return headers;
}
