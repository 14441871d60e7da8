/** Hashes layers in worker threads, the largest first, each byte once. */
import { availableParallelism } from 'node:os';
import type { Worker } from 'node:worker_threads';
import type { Failure } from '../base/error.ts';
import type { LayerRecipe } from '../oci/layer-recipe.ts';
import type { HashedLayer } from './hash-layer.ts';
import { REAL_STORE, type StoreLocation } from './walk-store-path.ts';
import { reviveFailure, startWorker } from './worker-thread.ts';

export interface LayerHasherOptions {
  /** Worker threads; default: one per processor. */
  readonly threads?: number;
  readonly location?: StoreLocation;
}

export interface HashOptions {
  readonly signal?: AbortSignal;
  readonly onHashed?: (index: number, layer: HashedLayer) => void;
  readonly onBytes?: (index: number, bytes: number) => void;
}

/** Workers start with the first layer and live until the hasher is disposed of, so that a server pays for them once. */
export class LayerHasher implements AsyncDisposable {
  readonly #threads: number;
  readonly #location: StoreLocation;
  readonly #idle: Worker[] = [];
  readonly #all = new Set<Worker>();
  readonly #waiting: ((worker: Worker) => void)[] = [];

  constructor(options: LayerHasherOptions = {}) {
    this.#threads = Math.max(1, options.threads ?? availableParallelism());
    this.#location = options.location ?? REAL_STORE;
  }

  /**
   * Hashes each recipe and answers in the order given.
   * `onHashed` is called with the index and result of each layer as it is done, `onBytes` with the bytes read of it so far.
   * @throws KilnError store-path-missing, store-path-changed
   */
  async hash(recipes: readonly LayerRecipe[], options: HashOptions = {}): Promise<HashedLayer[]> {
    const results: HashedLayer[] = [];
    const order = recipes
      .map((_, index) => index)
      .sort((a, b) => contentSize(recipes[b]) - contentSize(recipes[a]));
    const stop = new AbortController();
    const signal =
      options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal]);
    const work = async (): Promise<void> => {
      for (let index = order.shift(); index !== undefined; index = order.shift()) {
        const recipe = recipes[index];
        if (recipe === undefined) continue;
        const layer = await this.#hashOne(recipe, signal, (bytes) => options.onBytes?.(index, bytes));
        results[index] = layer;
        options.onHashed?.(index, layer);
      }
    };
    const lanes = Array.from({ length: Math.min(this.#threads, recipes.length) }, work);
    try {
      await Promise.all(lanes);
    } finally {
      stop.abort();
      await Promise.allSettled(lanes);
    }
    return results;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#all].map(async (worker) => worker.terminate()));
    this.#all.clear();
    this.#idle.length = 0;
  }

  /** A worker that is told to stop in the middle of a layer is ended: its loop takes no messages. */
  async #hashOne(
    recipe: LayerRecipe,
    signal: AbortSignal,
    onBytes: (bytes: number) => void,
  ): Promise<HashedLayer> {
    signal.throwIfAborted();
    const worker = await this.#take();
    try {
      // The wait for a thread may have been long.
      signal.throwIfAborted();
      const layer = await ask(worker, recipe, signal, onBytes);
      this.#give(worker);
      return layer;
    } catch (error) {
      if (signal.aborted || !this.#all.has(worker)) this.#discard(worker);
      else this.#give(worker);
      throw error;
    }
  }

  async #take(): Promise<Worker> {
    const idle = this.#idle.pop();
    if (idle !== undefined) {
      idle.ref();
      return idle;
    }
    if (this.#all.size < this.#threads) return this.#start();
    const worker = await new Promise<Worker>((resolve) => this.#waiting.push(resolve));
    worker.ref();
    return worker;
  }

  #start(): Worker {
    const worker = startWorker('hash-worker', this.#location);
    this.#all.add(worker);
    worker.once('exit', () => this.#all.delete(worker));
    return worker;
  }

  #give(worker: Worker): void {
    const next = this.#waiting.shift();
    if (next !== undefined) next(worker);
    else {
      worker.unref();
      this.#idle.push(worker);
    }
  }

  #discard(worker: Worker): void {
    this.#all.delete(worker);
    void worker.terminate();
    const next = this.#waiting.shift();
    if (next !== undefined) next(this.#start());
  }
}

type Answer = { readonly bytes: number } | { readonly hashed: HashedLayer } | { readonly failure: Failure };

async function ask(
  worker: Worker,
  recipe: LayerRecipe,
  signal: AbortSignal,
  onBytes: (bytes: number) => void,
): Promise<HashedLayer> {
  const settled = new AbortController();
  return new Promise<HashedLayer>((resolve, reject) => {
    const done = (act: () => void): void => {
      settled.abort();
      worker.off('message', onMessage).off('error', onError).off('exit', onExit);
      act();
    };
    const onMessage = (answer: Answer): void => {
      if ('bytes' in answer) onBytes(answer.bytes);
      else if ('hashed' in answer) done(() => resolve(answer.hashed));
      else done(() => reject(reviveFailure(answer.failure)));
    };
    const onError = (error: unknown): void => done(() => reject(error));
    const onExit = (): void => done(() => reject(new Error('A hashing thread ended by itself')));
    worker.on('message', onMessage).on('error', onError).on('exit', onExit);
    signal.addEventListener('abort', () => done(() => reject(signal.reason)), {
      once: true,
      signal: settled.signal,
    });
    worker.postMessage(recipe);
  });
}

/** Bytes of the layer's content, by which work is ordered and progress is shown. */
export function contentSize(recipe: LayerRecipe | undefined): number {
  let size = 0;
  for (const entry of recipe?.entries ?? []) size += entry.type === 'store-path' ? entry.narSize : 512;
  return size;
}
