/** Worker thread: opens layers, NARs and listings and sends their bytes in chunks, as many as are asked for. */
import { parentPort, workerData } from 'node:worker_threads';
import { describeFailure, KilnError, systemErrorCode } from '../base/error.ts';
import { layerLayout, TreeCache } from './layer-layout.ts';
import { LayoutCache } from './layout-cache.ts';
import { lstatIfThere } from './lstat-if-there.ts';
import { type NarLayout, narLayout } from './nar-layout.ts';
import { narListingText } from './nar-listing-text.ts';
import { readNarRange } from './read-nar.ts';
import type { ReadAnswer, ReadCommand, ReadSource, ReadWorkerData } from './read-protocol.ts';
import { checkRange, readRange } from './read-range.ts';
import { missingPath } from './walk-store-path.ts';

/** A byte sequence that is about to be sent. */
interface Opened {
  readonly size: number;
  /** @throws KilnError store-path-missing, store-path-changed */
  check(start: number, end: number): void;
  read(start: number, end: number): Generator<Buffer, void, void>;
  /** What was remembered is no longer true. */
  forget(): void;
}

const { location, cacheBytes } = workerData as ReadWorkerData;
const trees = new TreeCache(cacheBytes);
const nars = new LayoutCache<NarLayout>(cacheBytes);
const streams = new Map<number, { readonly chunks: Generator<Buffer, void, void>; readonly from: Opened }>();

parentPort?.on('message', (command: ReadCommand) => {
  try {
    if (command.type === 'open') open(command);
    else if (command.type === 'pull') pull(command.id, command.count);
    else close(command.id);
  } catch (error) {
    streams.get(command.id)?.from.forget();
    streams.delete(command.id);
    answer({ type: 'failure', id: command.id, failure: describeFailure(vanished(error)) });
  }
});

function open(command: Extract<ReadCommand, { type: 'open' }>): void {
  const { id, source, start, expectedSize } = command;
  const from = openSource(source);
  streams.set(id, { chunks: empty(), from });
  if (expectedSize !== undefined && from.size !== expectedSize) {
    throw new KilnError(
      'store-path-changed',
      `${source.type === 'layer' ? 'A layer' : source.path} has ${from.size} bytes now and had ${expectedSize}`,
      {
        hint: 'Run nix-store --verify --check-contents --repair, then build it again.',
      },
    );
  }
  const end = Math.min(command.end ?? from.size, from.size);
  if (start > end) throw new KilnError('invalid-input', `Of ${from.size} bytes none is byte ${start}`);
  from.check(start, end);
  streams.set(id, { chunks: from.read(start, end), from });
  answer({ type: 'opened', id, size: from.size, end });
}

function openSource(source: ReadSource): Opened {
  if (source.type === 'layer') {
    const layout = layerLayout(source.recipe, location, trees);
    return {
      size: layout.size,
      check: (start, end) => checkRange(layout, start, end, location),
      read: (start, end) => readRange(layout, start, end, location),
      forget: () => {
        for (const piece of layout.pieces) if ('tree' in piece) trees.forget(piece.tree);
      },
    };
  }
  if (source.type === 'listing') {
    const text = narListingText(source.path, location);
    return {
      size: text.length,
      check: () => undefined,
      read: (start, end) => copies(text.subarray(start, end)),
      forget: () => undefined,
    };
  }
  const key = `${source.path} ${source.narHash}`;
  const layout = nars.get(key, () => narLayout(source.path, location));
  return {
    size: layout.length,
    check: () => {
      if (lstatIfThere(location.physicalRoot + source.path) === undefined) throw missingPath(source.path);
    },
    read: (start, end) => readNarRange(layout, start, end, location),
    forget: () => nars.forget(key),
  };
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

/** Chunks are given away with their memory, so each has its own. */
function* copies(text: Buffer): Generator<Buffer, void, void> {
  const size = 256 * 1024;
  for (let at = 0; at < text.length; at += size) {
    const part = text.subarray(at, at + size);
    const copy = Buffer.allocUnsafeSlow(part.length);
    part.copy(copy);
    yield copy;
  }
}

function* empty(): Generator<Buffer, void, void> {
  // Nothing to give before it is open.
}

function vanished(error: unknown): unknown {
  if (systemErrorCode(error) !== 'ENOENT') return error;
  return new KilnError('store-path-missing', 'A file is no longer in the store', {
    cause: error,
  });
}
