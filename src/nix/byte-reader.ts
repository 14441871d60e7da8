/** Reads numbers and strings of Nix's worker protocol from a stream, as they come. */
import type { Readable } from 'node:stream';

const MAX_STRING = 2 ** 20;

export class ByteReader {
  readonly #chunks: AsyncIterator<Buffer>;
  #buffer: Buffer = Buffer.alloc(0);

  constructor(stream: Readable) {
    this.#chunks = (stream as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  }

  /** A 64-bit number; those beyond 2^53 lose digits. */
  async number(): Promise<number> {
    return Number((await this.#take(8)).readBigUInt64LE());
  }

  async string(): Promise<string> {
    const length = await this.number();
    if (length > MAX_STRING) throw new Error(`A string of ${length} bytes is beyond all reason`);
    const text = (await this.#take(length)).toString('utf8');
    await this.#take((8 - (length % 8)) % 8);
    return text;
  }

  async #take(count: number): Promise<Buffer> {
    while (this.#buffer.length < count) {
      const next = await this.#chunks.next();
      if (next.done === true) throw new Error('The program ended before its answer was complete');
      this.#buffer = Buffer.concat([this.#buffer, next.value]);
    }
    const taken = this.#buffer.subarray(0, count);
    this.#buffer = this.#buffer.subarray(count);
    return taken;
  }
}
