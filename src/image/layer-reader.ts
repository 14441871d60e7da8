/** Serves the bytes of layers and NARs from the store, whole or in part, without holding up the main thread. */
import { availableParallelism } from 'node:os';
import type { Worker } from 'node:worker_threads';
import type { NarHash, StorePath } from '../base/brand.ts';
import type { LayerRecipe } from '../oci/layer-recipe.ts';
import { LayerStream } from './layer-stream.ts';
import type { ReadAnswer, ReadCommand, ReadSource, ReadWorkerData } from './read-protocol.ts';
import { REAL_STORE, type StoreLocation } from './walk-store-path.ts';
import { startWorker } from './worker-thread.ts';

export interface LayerReaderOptions {
  /** Worker threads; default: one per processor, at most 4. */
  readonly threads?: number;
  readonly location?: StoreLocation;
}

export interface ReadOptions {
  /** First byte; default 0. */
  readonly start?: number;
  /** Byte after the last; default and most: the size of the layer. */
  readonly end?: number;
  readonly signal?: AbortSignal;
}

/** Offset tables of all threads together. */
const CACHE_BYTES = 32 * 2 ** 20;

interface Lane {
  readonly worker: Worker;
  readonly streams: Map<number, LayerStream>;
}

export function createLayerReader(options: LayerReaderOptions = {}): LayerReader {
  return new LayerReader(options);
}

/** Workers start with the first read and keep offset tables of what was read lately. */
export class LayerReader implements AsyncDisposable {
  readonly #threads: number;
  readonly #location: StoreLocation;
  readonly #lanes: Lane[] = [];
  #lastId = 0;

  constructor(options: LayerReaderOptions = {}) {
    this.#threads = Math.max(1, options.threads ?? Math.min(4, availableParallelism()));
    this.#location = options.location ?? REAL_STORE;
  }

  /**
   * Opens a layer. When this settles, every path is there and every file of the range has its size; the stream then gives exactly
   * `end - start` bytes or fails. Iterate it, or cancel it.
   * @throws KilnError store-path-missing, store-path-changed, invalid-input (no such byte)
   */
  async open(
    layer: { readonly recipe: LayerRecipe; readonly size?: number },
    options: ReadOptions = {},
  ): Promise<LayerStream> {
    return await this.#open({ type: 'layer', recipe: layer.recipe }, layer.size, options);
  }

  /**
   * The same for the NAR of a valid path. Files are looked at when their bytes are due: one that vanishes or changes then
   * fails the stream. Up to a megabyte is in memory when this settles.
   * @throws KilnError store-path-missing, store-path-changed (it has another size), invalid-input (no such byte)
   */
  async openNar(
    nar: { readonly path: StorePath; readonly narHash: NarHash; readonly narSize: number },
    options: ReadOptions = {},
  ): Promise<LayerStream> {
    const { path, narHash } = nar;
    return await this.#open({ type: 'nar', path, narHash }, nar.narSize, options);
  }

  /** The `.ls` document of a path. @throws KilnError store-path-missing, store-path-changed */
  async openListing(path: StorePath, signal?: AbortSignal): Promise<LayerStream> {
    return await this.#open({ type: 'listing', path }, undefined, signal === undefined ? {} : { signal });
  }

  async #open(
    source: ReadSource,
    expectedSize: number | undefined,
    options: ReadOptions,
  ): Promise<LayerStream> {
    options.signal?.throwIfAborted();
    const { start = 0, end, signal } = options;
    const lane = this.#quietest();
    const id = ++this.#lastId;
    const stream = new LayerStream(start, (command) => lane.worker.postMessage({ ...command, id }), signal);
    stream.onClose(() => this.#forget(lane, id));
    lane.streams.set(id, stream);
    lane.worker.ref();
    const command: ReadCommand = {
      type: 'open',
      id,
      source,
      start,
      ...(end === undefined ? {} : { end }),
      ...(expectedSize === undefined ? {} : { expectedSize }),
    };
    lane.worker.postMessage(command);
    await stream.opened;
    return stream;
  }

  /** Bytes of the whole layer. @throws KilnError store-path-missing, store-path-changed */
  async size(recipe: LayerRecipe): Promise<number> {
    await using stream = await this.open({ recipe }, { start: 0, end: 0 });
    return stream.size;
  }

  /** The same as {@link open} for those who iterate at once: what it throws, the first step throws. */
  async *read(recipe: LayerRecipe, options: ReadOptions = {}): AsyncGenerator<Buffer, void, void> {
    yield* await this.open({ recipe }, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const lanes = this.#lanes.splice(0);
    for (const lane of lanes)
      for (const stream of lane.streams.values()) stream.fail(new Error('The layer reader was closed'));
    await Promise.all(lanes.map(async (lane) => lane.worker.terminate()));
  }

  #quietest(): Lane {
    let best: Lane | undefined;
    for (const lane of this.#lanes)
      if (best === undefined || lane.streams.size < best.streams.size) best = lane;
    if (best !== undefined && (best.streams.size === 0 || this.#lanes.length >= this.#threads)) return best;
    return this.#start();
  }

  #start(): Lane {
    const workerData: ReadWorkerData = { location: this.#location, cacheBytes: CACHE_BYTES / this.#threads };
    const worker = startWorker('read-worker', workerData);
    const lane: Lane = { worker, streams: new Map() };
    const stop = (error: Error): void => {
      const at = this.#lanes.indexOf(lane);
      if (at !== -1) this.#lanes.splice(at, 1);
      for (const stream of lane.streams.values()) stream.fail(error);
    };
    worker.on('message', (answer: ReadAnswer) => lane.streams.get(answer.id)?.receive(answer));
    worker.on('error', (error) => stop(error instanceof Error ? error : new Error(String(error))));
    worker.on('exit', () => stop(new Error('A reading thread ended by itself')));
    this.#lanes.push(lane);
    return lane;
  }

  #forget(lane: Lane, id: number): void {
    lane.streams.delete(id);
    if (lane.streams.size === 0) lane.worker.unref();
  }
}
