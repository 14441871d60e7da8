/** Generates the bytes of a NAR from `start` to `end` through its offset table. Synchronous: meant for a worker thread. */
import type { NarLayout } from './nar-layout.ts';
import { RangeBuffer } from './range-buffer.ts';
import { fsPath, type StoreLocation } from './walk-store-path.ts';

/** Yields chunks of at most 256 KiB, each in memory of its own. @throws KilnError store-path-changed */
export function* readNarRange(
  layout: NarLayout,
  start: number,
  end: number,
  location: StoreLocation,
): Generator<Buffer, void, void> {
  const range = new RangeBuffer(start, end);
  const { framing, framingBefore, starts, sizes } = layout;
  for (let index = firstFile(layout, start); index < starts.length && range.position < end; index++) {
    const at = starts[index] ?? 0;
    const size = sizes[index] ?? 0;
    const from = index === 0 ? 0 : (framingBefore[index - 1] ?? 0);
    const until = framingBefore[index] ?? 0;
    const frame = framing.subarray(from, until);
    if (!range.wholeBytes(frame, at - frame.length)) yield* range.bytes(frame, at - frame.length);
    if (size === 0) continue;
    const name = layout.fileName(index);
    yield* range.file(fsPath(`${location.physicalRoot}/${name}`), { name, size }, at);
  }
  const tail = framing.subarray(framingBefore.at(-1) ?? 0);
  if (range.position < end) yield* range.bytes(tail, layout.length - tail.length);
  yield* range.flush();
}

/** The first file whose contents end after `start`: what comes before it is not wanted. */
function firstFile(layout: NarLayout, start: number): number {
  let [low, high] = [0, layout.starts.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((layout.starts[middle] ?? 0) + (layout.sizes[middle] ?? 0) > start) high = middle;
    else low = middle + 1;
  }
  return low;
}
