/** Generates the bytes of a layer from `start` to `end` through its offset table. Synchronous: meant for a worker thread. */
import { paddedSize, TAR_BLOCK, type TarEntry, tarHeaderLength, writeTarHeader } from '../oci/tar-header.ts';
import type { LayerLayout, LayoutPiece } from './layer-layout.ts';
import { RangeBuffer } from './range-buffer.ts';
import { fsPath, type StoreLocation } from './walk-store-path.ts';

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

/** Yields chunks of at most 256 KiB, each in memory of its own. @throws KilnError store-path-changed */
export function* readRange(
  layout: LayerLayout,
  start: number,
  end: number,
  location: StoreLocation,
): Generator<Buffer, void, void> {
  const range = new TarRange(start, end);
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
  range: TarRange,
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

/** Writes tar headers in place. */
class TarRange extends RangeBuffer {
  /** The usual case of {@link header}, without a generator: wanted whole, and there is room. */
  wholeHeader(entry: TarEntry, offset: number, end: number): boolean {
    if (offset !== this.position || end > this.end || this.buffer.length - this.used < end - offset)
      return false;
    this.used = writeTarHeader(this.buffer, this.used, entry);
    this.position = end;
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
}
