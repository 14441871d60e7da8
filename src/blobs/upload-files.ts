/** Unfinished uploads as files, with the hash of what was written kept beside them. */
import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open, opendir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { KilnError, systemErrorCode } from '../base/error.ts';
import { formatBytes } from '../base/units.ts';
import { type DigestAlgorithm, finishDigest } from '../oci/digest.ts';
import type { AppendOptions, SealedUpload } from './blob-store.ts';
import { diskError } from './disk-error.ts';

interface HashState {
  readonly algorithm: DigestAlgorithm;
  readonly hash: Hash;
  size: number;
}

const UPLOAD_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** Hash states kept in memory; an upload beyond that is hashed again from its file. */
const MAX_STATES = 10_000;
/** A client that asks how far it came has usually just lost the connection on which bytes are still arriving. */
const SETTLE_MS = 2000;

export class UploadFiles {
  readonly #directory: string;
  readonly #states = new Map<string, HashState>();
  readonly #queues = new Map<string, Promise<unknown>>();
  /** Uploads whose digest was told: further bytes would make it a lie. */
  readonly #sealed = new Set<string>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** @throws KilnError not-found for anything that is not a UUID: identifiers come out of URLs. */
  path(id: string): string {
    if (!UPLOAD_ID.test(id)) throw unknownUpload(id);
    return join(this.#directory, id);
  }

  async start(id: string): Promise<void> {
    try {
      await (await open(this.path(id), 'wx', 0o600)).close();
    } catch (error) {
      throw diskError(error, 'to begin an upload');
    }
  }

  async size(id: string): Promise<number | undefined> {
    if (!UPLOAD_ID.test(id)) return undefined;
    const found = await stat(this.path(id)).catch(ignoreMissing);
    return found?.size;
  }

  /** Bytes received, after what is being written has ended or, for a sender that does not end, a moment has passed. */
  async settledSize(id: string): Promise<number | undefined> {
    const writing = this.#queues.get(id);
    if (writing !== undefined) await Promise.race([writing, sleep(SETTLE_MS, undefined, { ref: false })]);
    return await this.size(id);
  }

  append(id: string, source: AsyncIterable<Buffer>, options: AppendOptions): Promise<number> {
    return this.#exclusive(id, () => this.#append(id, source, options));
  }

  seal(id: string, algorithm: DigestAlgorithm): Promise<SealedUpload> {
    return this.#exclusive(id, async () => {
      const state = await this.#state(id, algorithm);
      const handle = await open(this.path(id), 'r+').catch(missingAsUnknown(id));
      try {
        await handle.sync();
      } finally {
        await handle.close();
      }
      this.#sealed.add(id);
      return { id, digest: finishDigest(state.hash.copy(), algorithm), size: state.size };
    });
  }

  /** Runs `work` when no append is under way, and forgets the upload's hash. */
  finish<T>(id: string, work: () => Promise<T>): Promise<T> {
    return this.#exclusive(id, async () => {
      const result = await work();
      this.#forget(id);
      return result;
    });
  }

  async cancel(id: string): Promise<void> {
    this.#forget(id);
    await rm(this.path(id), { force: true });
  }

  async *list(): AsyncIterable<{ id: string; changedAt: number }> {
    for await (const entry of await opendir(this.#directory)) {
      if (!UPLOAD_ID.test(entry.name)) continue;
      const found = await stat(join(this.#directory, entry.name)).catch(ignoreMissing);
      if (found !== undefined) yield { id: entry.name, changedAt: found.mtimeMs };
    }
  }

  #forget(id: string): void {
    this.#states.delete(id);
    this.#sealed.delete(id);
  }

  async #append(id: string, source: AsyncIterable<Buffer>, options: AppendOptions): Promise<number> {
    if (this.#sealed.has(id)) throw new KilnError('conflict', `The upload ${id} is being finished`);
    const handle = await open(this.path(id), 'r+').catch(missingAsUnknown(id));
    try {
      const state = await this.#state(id, options.algorithm);
      if (options.at !== undefined && options.at !== state.size) throw outOfOrder(options.at, state.size);
      const before = state.size;
      const maxSize = options.maxSize ?? Number.POSITIVE_INFINITY;
      if (before + (options.length ?? 0) > maxSize) throw tooLarge(maxSize);
      try {
        for await (const chunk of source) {
          options.signal?.throwIfAborted();
          if (options.length !== undefined && state.size - before + chunk.length > options.length) {
            throw wrongLength(options.length, 'more');
          }
          if (state.size + chunk.length > maxSize) throw tooLarge(maxSize);
          await writeFully(handle, chunk, state.size);
          state.hash.update(chunk);
          state.size += chunk.length;
        }
      } catch (error) {
        // A partly written chunk would be bytes that the hash does not know.
        await handle.truncate(state.size);
        throw diskError(error, 'for an upload');
      }
      if (options.length !== undefined && state.size - before !== options.length) {
        throw wrongLength(options.length, 'fewer');
      }
      return state.size;
    } finally {
      await handle.close();
    }
  }

  /** The hash of what the file holds: from memory, or (after a restart, or for another algorithm) read again. */
  async #state(id: string, algorithm: DigestAlgorithm): Promise<HashState> {
    const known = this.#states.get(id);
    const size = await this.size(id);
    if (size === undefined) throw unknownUpload(id);
    if (known?.algorithm === algorithm && known.size === size) return known;
    const state: HashState = { algorithm, hash: createHash(algorithm), size: 0 };
    if (size > 0) {
      for await (const chunk of createReadStream(this.path(id), { end: size - 1, highWaterMark: 2 ** 20 })) {
        state.hash.update(chunk as Buffer);
        state.size += (chunk as Buffer).length;
      }
    }
    this.#states.delete(id);
    this.#states.set(id, state);
    const [oldest] = this.#states.keys();
    if (this.#states.size > MAX_STATES && oldest !== undefined) this.#states.delete(oldest);
    return state;
  }

  #exclusive<T>(id: string, work: () => Promise<T>): Promise<T> {
    const before = this.#queues.get(id) ?? Promise.resolve();
    const result = before.then(work, work);
    const settled = result.then(
      () => undefined,
      () => undefined,
    );
    this.#queues.set(id, settled);
    void settled.then(() => {
      if (this.#queues.get(id) === settled) this.#queues.delete(id);
    });
    return result;
  }
}

function unknownUpload(id: string): KilnError {
  return new KilnError('not-found', `There is no upload ${id.slice(0, 80)}`, {
    hint: 'It was finished, cancelled, or removed because nothing was sent for too long. Start a new one.',
  });
}

function outOfOrder(at: number, size: number): KilnError {
  return new KilnError(
    'range-not-satisfiable',
    `The chunk starts at byte ${at}, the upload has ${size} bytes`,
    {
      hint: 'Ask for the upload’s status and continue there.',
      fields: { size },
    },
  );
}

function tooLarge(maxSize: number): KilnError {
  return new KilnError('too-large', `An upload may have ${formatBytes(maxSize)} at most`, {
    hint: 'Raise limits.uploadSize in the settings of the server.',
  });
}

function wrongLength(expected: number, which: 'more' | 'fewer'): KilnError {
  return new KilnError(
    'invalid-input',
    `${which === 'more' ? 'More' : 'Fewer'} bytes came than the ${expected} announced`,
    {
      fields: { reason: 'length' },
    },
  );
}

function ignoreMissing(error: unknown): undefined {
  if (systemErrorCode(error) === 'ENOENT') return undefined;
  throw error;
}

function missingAsUnknown(id: string): (error: unknown) => never {
  return (error) => {
    throw systemErrorCode(error) === 'ENOENT' ? unknownUpload(id) : error;
  };
}

async function writeFully(handle: FileHandle, chunk: Buffer, position: number): Promise<void> {
  let done = 0;
  while (done < chunk.length) {
    const { bytesWritten } = await handle.write(chunk, done, chunk.length - done, position + done);
    done += bytesWritten;
  }
}
