/** One reader of one layer: chunks in order, a few of them ahead of who takes them. */
import { reviveFailure } from './worker-thread.ts';
import type { ReadAnswer } from './read-protocol.ts';

/** Chunks that are read ahead: a megabyte in all. */
const WINDOW = 4;

type Send = (command: { readonly type: 'pull'; readonly count: number } | { readonly type: 'close' }) => void;

/** Gives chunks of at most 256 KiB; a slow taker holds up nobody but itself. Can be iterated once. */
export class LayerStream implements AsyncIterableIterator<Buffer> {
  /** First byte of the range. */
  readonly start: number;
  /** Settles when the range is known to be readable. */
  readonly opened: Promise<void>;
  #size = 0;
  #end = 0;
  readonly #send: Send;
  readonly #ready: Buffer[] = [];
  #wanted = 0;
  #settleOpened: { resolve: () => void; reject: (error: unknown) => void };
  #waiting:
    | { resolve: (result: IteratorResult<Buffer>) => void; reject: (error: unknown) => void }
    | undefined;
  #error: unknown;
  #done = false;
  #closed: (() => void) | undefined;
  readonly #ended = new AbortController();

  constructor(start: number, send: Send, signal?: AbortSignal) {
    this.start = start;
    this.#send = send;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.opened = promise;
    this.#settleOpened = { resolve, reject };
    signal?.addEventListener('abort', () => this.#abort(signal.reason), {
      once: true,
      signal: this.#ended.signal,
    });
  }

  /** Bytes of the whole layer. */
  get size(): number {
    return this.#size;
  }

  /** Byte after the last of the range. */
  get end(): number {
    return this.#end;
  }

  /** For the reader: called once, when nothing more will come. */
  onClose(closed: () => void): void {
    this.#closed = closed;
  }

  /** For the reader: takes what the worker said. */
  receive(answer: ReadAnswer): void {
    if (answer.type === 'opened') {
      this.#size = answer.size;
      this.#end = answer.end;
      this.#pull(WINDOW);
      this.#settleOpened.resolve();
    } else if (answer.type === 'failure') this.fail(reviveFailure(answer.failure));
    else if (answer.type === 'end') {
      this.#finish();
      this.#waiting?.resolve({ done: true, value: undefined });
      this.#waiting = undefined;
    } else this.#deliver(Buffer.from(answer.bytes.buffer, answer.bytes.byteOffset, answer.bytes.byteLength));
  }

  /** For the reader: ends the stream with an error, after the chunks that are there. */
  fail(error: unknown): void {
    if (this.#done) return;
    this.#error = error;
    this.#finish();
    this.#settleOpened.reject(error);
    this.#waiting?.reject(error);
    this.#waiting = undefined;
  }

  async next(): Promise<IteratorResult<Buffer>> {
    const chunk = this.#ready.shift();
    if (chunk !== undefined) {
      this.#refill();
      return { done: false, value: chunk };
    }
    if (this.#error !== undefined) throw this.#error;
    if (this.#done) return { done: true, value: undefined };
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject };
    });
  }

  /** Ends the reading; what is open in the worker is closed. */
  async return(): Promise<IteratorResult<Buffer>> {
    this.#ready.length = 0;
    if (!this.#done) {
      this.#send({ type: 'close' });
      this.#finish();
    }
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  #deliver(chunk: Buffer): void {
    this.#wanted--;
    const waiting = this.#waiting;
    if (this.#done) return;
    if (waiting === undefined) this.#ready.push(chunk);
    else {
      this.#waiting = undefined;
      waiting.resolve({ done: false, value: chunk });
      this.#refill();
    }
  }

  /** Asks for more by halves of the window, which halves the messages. */
  #refill(): void {
    const missing = WINDOW - this.#wanted - this.#ready.length;
    if (!this.#done && missing >= WINDOW / 2) this.#pull(missing);
  }

  #pull(count: number): void {
    this.#wanted += count;
    this.#send({ type: 'pull', count });
  }

  #abort(reason: unknown): void {
    if (this.#done) return;
    this.#send({ type: 'close' });
    this.#ready.length = 0;
    this.fail(reason);
  }

  #finish(): void {
    this.#done = true;
    this.#ended.abort();
    this.#closed?.();
  }
}
