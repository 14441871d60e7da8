/** Generates the bytes of a layer from `start` to `end` through its offset table. Synchronous: meant for a worker thread. */
import { closeSync, fstatSync, openSync, type PathLike, readSync } from 'node:fs';
import {
  fillZero,
  paddedSize,
  TAR_BLOCK,
  type TarEntry,
  tarHeaderLength,
  writeTarHeader,
} from '../oci/tar-header.ts';
import type { LayerLayout, LayoutPiece } from './layer-layout.ts';
import { changedFile, fsPath, type StoreLocation } from './walk-store-path.ts';

/** Most bytes of one chunk. */
const CHUNK_SIZE = 256 * 1024;

/** How long a look at every file of a tree counts. */
const FRESH_MS = 10_000;

/**
 * Checks that the files of the range are as they were. Calls for the first byte may follow.
 * @throws KilnError store-path-missing, store-path-changed
 */
export function checkRange(layout: LayerLayout, start: number, end: number, location: StoreLocation): void {
  for (const piece of piecesBetween(layout, start, end)) {
    if (!('tree' in piece)) continue;
    const { tree, offset } = piece;
    tree.check(
      tree.at(Math.max(0, start - offset)),
      tree.at(Math.min(tree.length, end - offset) - 1),
      location,
      FRESH_MS,
    );
  }
}

/** Yields chunks of at most {@link CHUNK_SIZE}, each in memory of its own. @throws KilnError store-path-changed */
export function* readRange(
  layout: LayerLayout,
  start: number,
  end: number,
  location: StoreLocation,
): Generator<Buffer, void, void> {
  const range = new RangeBuffer(start, end);
  for (const piece of piecesBetween(layout, start, end)) {
    if ('tree' in piece) yield* readTree(range, piece.tree, piece.offset, location);
    else {
      yield* range.header(piece.entry, piece.offset);
      yield* range.bytes(
        padded(piece.content),
        piece.offset + piece.length - paddedSize(piece.content.length),
      );
    }
  }
  yield* range.zeros(end);
  yield* range.flush();
}

function* piecesBetween(layout: LayerLayout, start: number, end: number): Generator<LayoutPiece, void, void> {
  for (const piece of layout.pieces) {
    if (piece.offset >= end) break;
    if (piece.offset + piece.length > start) yield piece;
  }
}

type Tree = Extract<LayoutPiece, { tree: unknown }>['tree'];

function* readTree(
  range: RangeBuffer,
  tree: Tree,
  base: number,
  location: StoreLocation,
): Generator<Buffer, void, void> {
  const last = tree.at(Math.min(tree.length, range.end - base) - 1);
  for (let index = tree.at(Math.max(0, range.position - base)); index <= last; index++) {
    const entry = tree.entry(index);
    const offset = base + tree.offsetOf(index);
    const end = base + tree.offsetOf(index + 1);
    const content = end - paddedSize(entry.size);
    if (!range.wholeHeader(entry, offset, content)) yield* range.header(entry, offset);
    if (entry.size === 0) continue;
    const path = `${location.physicalRoot}/${entry.name}`;
    yield* range.file(tree.ascii ? path : fsPath(path), entry, content);
    if (!range.shortZeros(end)) yield* range.zeros(Math.min(end, range.end));
  }
}

function padded(content: Buffer): Buffer {
  return Buffer.concat([content, Buffer.alloc(paddedSize(content.length) - content.length)]);
}

/** Collects the wanted part of what passes by. `position` is the offset in the tar of the next byte. */
class RangeBuffer {
  position: number;
  readonly end: number;
  #buffer: Buffer;
  #used = 0;

  constructor(start: number, end: number) {
    this.position = start;
    this.end = end;
    this.#buffer = this.#next();
  }

  /** The usual case of {@link header}, without a generator: wanted whole, and there is room. */
  wholeHeader(entry: TarEntry, offset: number, end: number): boolean {
    if (offset !== this.position || end > this.end || this.#buffer.length - this.#used < end - offset)
      return false;
    this.#used = writeTarHeader(this.#buffer, this.#used, entry);
    this.position = end;
    return true;
  }

  /** The usual case of {@link zeros}. */
  shortZeros(until: number): boolean {
    const count = until - this.position;
    if (until > this.end || this.#buffer.length - this.#used < count) return false;
    if (count > 0) {
      fillZero(this.#buffer, this.#used, this.#used + count);
      this.#advance(count);
    }
    return true;
  }

  *header(entry: TarEntry, offset: number): Generator<Buffer, void, void> {
    const length = tarHeaderLength(entry);
    if (offset + length <= this.position || offset >= this.end) return;
    if (this.wholeHeader(entry, offset, offset + length)) return;
    const scratch = Buffer.alloc(Math.max(length, TAR_BLOCK));
    writeTarHeader(scratch, 0, entry);
    yield* this.bytes(scratch.subarray(0, length), offset);
  }

  *bytes(source: Buffer, offset: number): Generator<Buffer, void, void> {
    const stop = Math.min(offset + source.length, this.end);
    while (this.position < stop) {
      yield* this.#room();
      const count = Math.min(stop - this.position, this.#buffer.length - this.#used);
      const from = this.position - offset;
      source.copy(this.#buffer, this.#used, from, from + count);
      this.#advance(count);
    }
  }

  *zeros(until: number): Generator<Buffer, void, void> {
    while (this.position < until) {
      yield* this.#room();
      const count = Math.min(until - this.position, this.#buffer.length - this.#used);
      fillZero(this.#buffer, this.#used, this.#used + count);
      this.#advance(count);
    }
  }

  /** A file that fits whole is read with one call that asks for a byte too many, and so notices growth as well. */
  *file(path: PathLike, entry: TarEntry, offset: number): Generator<Buffer, void, void> {
    const stop = Math.min(offset + entry.size, this.end);
    if (this.position >= stop) return;
    const fd = openSync(path, 'r');
    try {
      const whole = this.position === offset && stop === offset + entry.size;
      if (whole && entry.size < this.#buffer.length - this.#used) {
        if (readSync(fd, this.#buffer, this.#used, entry.size + 1, null) !== entry.size)
          throw sizeChanged(entry);
        this.#advance(entry.size);
        return;
      }
      if (fstatSync(fd).size !== entry.size) throw sizeChanged(entry);
      while (this.position < stop) {
        yield* this.#room();
        const wanted = Math.min(stop - this.position, this.#buffer.length - this.#used);
        const count = readSync(fd, this.#buffer, this.#used, wanted, this.position - offset);
        if (count === 0) throw sizeChanged(entry);
        this.#advance(count);
      }
    } finally {
      closeSync(fd);
    }
  }

  *flush(): Generator<Buffer, void, void> {
    if (this.#used === 0) return;
    const full = this.#buffer.subarray(0, this.#used);
    this.#used = 0;
    if (this.position < this.end) this.#buffer = this.#next();
    yield full;
  }

  *#room(): Generator<Buffer, void, void> {
    if (this.#used === this.#buffer.length) yield* this.flush();
  }

  #advance(count: number): void {
    this.#used += count;
    this.position += count;
  }

  /** Memory that can be handed to another thread; smaller where little is left. */
  #next(): Buffer {
    return Buffer.allocUnsafeSlow(Math.min(CHUNK_SIZE, Math.max(1, this.end - this.position)));
  }
}

function sizeChanged(entry: TarEntry): Error {
  return changedFile(entry.name, 'changed its size while it was read');
}
