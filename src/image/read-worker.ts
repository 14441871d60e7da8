/** Worker thread: opens layers and sends their bytes in chunks, as many as are asked for. */
import { parentPort, workerData } from 'node:worker_threads';
import { describeFailure, KilnError, systemErrorCode } from '../base/error.ts';
import { layerLayout, TreeCache, type LayerLayout } from './layer-layout.ts';
import type { ReadAnswer, ReadCommand, ReadWorkerData } from './read-protocol.ts';
import { checkRange, readRange } from './read-range.ts';
import type { StoreLocation } from './walk-store-path.ts';

const { location, cacheBytes } = workerData as ReadWorkerData;
const cache = new TreeCache(cacheBytes);
const streams = new Map<
  number,
  { readonly chunks: Generator<Buffer, void, void>; readonly layout: LayerLayout }
>();

parentPort?.on('message', (command: ReadCommand) => {
  try {
    if (command.type === 'open') open(command, location);
    else if (command.type === 'pull') pull(command.id, command.count);
    else close(command.id);
  } catch (error) {
    const layout = streams.get(command.id)?.layout;
    // What was remembered is no longer true.
    for (const piece of layout?.pieces ?? []) if ('tree' in piece) cache.forget(piece.tree);
    streams.delete(command.id);
    answer({ type: 'failure', id: command.id, failure: describeFailure(vanished(error)) });
  }
});

function open(command: Extract<ReadCommand, { type: 'open' }>, at: StoreLocation): void {
  const { id, recipe, start, expectedSize } = command;
  const layout = layerLayout(recipe, at, cache);
  streams.set(id, { chunks: empty(), layout });
  if (expectedSize !== undefined && layout.size !== expectedSize) {
    throw new KilnError(
      'store-path-changed',
      `A layer has ${layout.size} bytes now and had ${expectedSize}`,
      {
        hint: 'Run nix-store --verify --check-contents --repair, then build the image again.',
      },
    );
  }
  const end = Math.min(command.end ?? layout.size, layout.size);
  if (start > end)
    throw new KilnError('invalid-input', `A layer of ${layout.size} bytes has no byte ${start}`);
  checkRange(layout, start, end, at);
  streams.set(id, { chunks: readRange(layout, start, end, at), layout });
  answer({ type: 'opened', id, size: layout.size, end });
}

function pull(id: number, count: number): void {
  const stream = streams.get(id);
  if (stream === undefined) return;
  for (let sent = 0; sent < count; sent++) {
    const { done, value } = stream.chunks.next();
    if (done === true || value === undefined) {
      streams.delete(id);
      answer({ type: 'end', id });
      return;
    }
    const { buffer } = value;
    answer({ type: 'chunk', id, bytes: new Uint8Array(buffer, 0, value.length) }, buffer as ArrayBuffer);
  }
}

function close(id: number): void {
  streams.get(id)?.chunks.return();
  streams.delete(id);
}

function answer(message: ReadAnswer, transfer?: ArrayBuffer): void {
  parentPort?.postMessage(message, transfer === undefined ? [] : [transfer]);
}

function* empty(): Generator<Buffer, void, void> {
  // Nothing to give before the layer is open.
}

function vanished(error: unknown): unknown {
  if (systemErrorCode(error) !== 'ENOENT') return error;
  return new KilnError('store-path-missing', 'A file of the layer is no longer in the store', {
    cause: error,
  });
}
