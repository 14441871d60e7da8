/** The wanted part of a byte sequence that is generated piece by piece. Synchronous: meant for a worker thread. */
import { closeSync, fstatSync, openSync, type PathLike, readSync } from 'node:fs';
import { fillZero } from '../oci/tar-header.ts';
import { changedFile } from './walk-store-path.ts';

/** Most bytes of one chunk. */
const CHUNK_SIZE = 256 * 1024;

/** A file as the sequence was planned with it. `name` is a byte string without a leading slash. */
export interface PlannedFile {
  readonly name: string;
  readonly size: number;
}

/**
 * Collects what of `start` to `end` passes by, in chunks of at most 256 KiB, each in memory of its own. `position` is the
 * offset in the whole sequence of the next byte.
 */
export class RangeBuffer {
  position: number;
  readonly end: number;
  protected buffer: Buffer;
  protected used = 0;

  constructor(start: number, end: number) {
    this.position = start;
    this.end = end;
    this.buffer = this.#next();
  }

  /** The usual case of {@link zeros}, without a generator. */
  shortZeros(until: number): boolean {
    const count = until - this.position;
    if (until > this.end || this.buffer.length - this.used < count) return false;
    if (count > 0) {
      fillZero(this.buffer, this.used, this.used + count);
      this.advance(count);
    }
    return true;
  }

  /** The usual case of {@link bytes}, without a generator: wanted whole, and there is room. */
  wholeBytes(source: Buffer, offset: number): boolean {
    const end = offset + source.length;
    if (offset !== this.position || end > this.end || this.buffer.length - this.used < source.length)
      return false;
    source.copy(this.buffer, this.used);
    this.advance(source.length);
    return true;
  }

  *bytes(source: Buffer, offset: number): Generator<Buffer, void, void> {
    const stop = Math.min(offset + source.length, this.end);
    while (this.position < stop) {
      yield* this.#room();
      const count = Math.min(stop - this.position, this.buffer.length - this.used);
      const from = this.position - offset;
      source.copy(this.buffer, this.used, from, from + count);
      this.advance(count);
    }
  }

  *zeros(until: number): Generator<Buffer, void, void> {
    while (this.position < until) {
      yield* this.#room();
      const count = Math.min(until - this.position, this.buffer.length - this.used);
      fillZero(this.buffer, this.used, this.used + count);
      this.advance(count);
    }
  }

  /**
   * A file that fits whole is read with one call that asks for a byte too many, and so notices growth as well.
   * @throws KilnError store-path-changed
   */
  *file(path: PathLike, file: PlannedFile, offset: number): Generator<Buffer, void, void> {
    const stop = Math.min(offset + file.size, this.end);
    if (this.position >= stop) return;
    const fd = openSync(path, 'r');
    try {
      const whole = this.position === offset && stop === offset + file.size;
      if (whole && file.size < this.buffer.length - this.used) {
        if (readSync(fd, this.buffer, this.used, file.size + 1, null) !== file.size) throw sizeChanged(file);
        this.advance(file.size);
        return;
      }
      if (fstatSync(fd).size !== file.size) throw sizeChanged(file);
      while (this.position < stop) {
        yield* this.#room();
        const wanted = Math.min(stop - this.position, this.buffer.length - this.used);
        const count = readSync(fd, this.buffer, this.used, wanted, this.position - offset);
        if (count === 0) throw sizeChanged(file);
        this.advance(count);
      }
    } finally {
      closeSync(fd);
    }
  }

  *flush(): Generator<Buffer, void, void> {
    if (this.used === 0) return;
    const full = this.buffer.subarray(0, this.used);
    this.used = 0;
    if (this.position < this.end) this.buffer = this.#next();
    yield full;
  }

  *#room(): Generator<Buffer, void, void> {
    if (this.used === this.buffer.length) yield* this.flush();
  }

  protected advance(count: number): void {
    this.used += count;
    this.position += count;
  }

  /** Memory that can be handed to another thread; smaller where little is left. */
  #next(): Buffer {
    return Buffer.allocUnsafeSlow(Math.min(CHUNK_SIZE, Math.max(1, this.end - this.position)));
  }
}

function sizeChanged(file: PlannedFile): Error {
  return changedFile(file.name, 'changed its size while it was read');
}
