/** Takes a build's lines as they come and stores them a moment later, compressed, within a size limit. */
import type { Clock } from '../base/clock.ts';
import { redact, type Secret } from '../base/secret.ts';
import type { Database } from '../db/database.ts';
import type { RunKey } from './build-queries.ts';
import { encodeFrame, lineBytes, type LogLine, type LogStream } from './log-line.ts';
import { deleteChunk, storeChunk } from './log-queries.ts';

export interface LogWriterOptions {
  readonly database: Database;
  readonly run: RunKey;
  readonly clock: Clock;
  /** Bytes of text to keep: the first half from the beginning, the rest from the end. Default 64 MiB. */
  readonly limitBytes?: number;
  /** Milliseconds from a line to its storing; default 200. */
  readonly flushMs?: number;
}

export interface LineContext {
  readonly stream?: LogStream;
  readonly step?: string;
  readonly derivation?: string;
}

interface StoredChunk {
  readonly firstSequence: number;
  readonly bytes: number;
}

const CHUNK_BYTES = 64 * 2 ** 10;
/** While the database does not keep up, more than this is left out rather than held in memory or waited for. */
const PENDING_LIMIT = 16 * 2 ** 20;
const MAX_LINE = 2 ** 20;

/** `write` never waits. Disposing stores what is left; lines after that are ignored. */
export class LogWriter implements AsyncDisposable {
  readonly #options: LogWriterOptions;
  readonly #limit: number;
  #secrets: readonly (Secret | string)[] = [];
  #pending: LogLine[] = [];
  #pendingBytes = 0;
  /** Lines of the chunk that is not full yet: stored, and stored again with the lines that follow. */
  #open: LogLine[] = [];
  #openBytes = 0;
  readonly #tail: StoredChunk[] = [];
  #headBytes = 0;
  #tailBytes = 0;
  #sequence = 0;
  #bytes = 0;
  #omitted = 0;
  #timer: NodeJS.Timeout | undefined;
  #flushing: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(options: LogWriterOptions) {
    this.#options = options;
    this.#limit = options.limitBytes ?? 64 * 2 ** 20;
  }

  /** From now on these values are replaced in every line; also each line of a value that has several, as keys have. */
  hide(secrets: readonly (Secret | string | undefined)[]): void {
    const values = secrets.flatMap((secret) => {
      const value = secret === undefined ? '' : typeof secret === 'string' ? secret : secret.reveal();
      return [value.trim(), ...value.split(/\r?\n/).map((line) => line.trim())];
    });
    this.#secrets = [...new Set([...this.#secrets, ...values.filter((value) => value.length >= 4)])];
  }

  /** Adds one line, or several when `text` has line feeds. */
  write(text: string, context: LineContext = {}): void {
    if (this.#closed) return;
    for (const line of redact(text, this.#secrets).split('\n')) {
      for (let from = 0; from === 0 || from < line.length; from += MAX_LINE) {
        this.#add(line.slice(from, from + MAX_LINE), context);
      }
    }
  }

  /** Stores everything written so far. @throws KilnError when the database does not take it */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const previous = this.#flushing.catch(() => undefined);
    this.#flushing = previous.then(() => this.#store());
    await this.#flushing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.flush();
    this.#closed = true;
  }

  #add(text: string, context: LineContext): void {
    const bytes = lineBytes(text);
    this.#sequence++;
    this.#bytes += bytes;
    if (this.#pendingBytes + bytes > PENDING_LIMIT) {
      this.#omitted += bytes;
      return;
    }
    this.#pendingBytes += bytes;
    const at = this.#options.clock.now();
    this.#pending.push({ sequence: this.#sequence, at, stream: 'kiln', ...context, text });
    this.#timer ??= setTimeout(() => {
      // A failed flush keeps its lines; the next one, at the latest that of the end, tells.
      this.flush().catch(() => this.#rearm());
    }, this.#options.flushMs ?? 200);
  }

  #rearm(): void {
    if (!this.#closed) this.#timer ??= setTimeout(() => void this.flush().catch(() => this.#rearm()), 1000);
  }

  async #store(): Promise<void> {
    while (this.#pending.length > 0 && !this.#closed) {
      let taken = 0;
      let bytes = this.#openBytes;
      while (taken < this.#pending.length && bytes < CHUNK_BYTES) {
        bytes += lineBytes(this.#pending[taken]?.text ?? '');
        taken++;
      }
      const lines = [...this.#open, ...this.#pending.slice(0, taken)];
      if (!(await this.#storeLines(lines, bytes))) return;
      this.#pending = this.#pending.slice(taken);
      this.#pendingBytes -= bytes - this.#openBytes;
      this.#open = lines;
      this.#openBytes = bytes;
      if (bytes >= CHUNK_BYTES) await this.#finishChunk();
    }
  }

  async #storeLines(lines: readonly LogLine[], bytes: number): Promise<boolean> {
    const chunk = {
      firstSequence: lines[0]?.sequence ?? 0,
      lastSequence: lines.at(-1)?.sequence ?? 0,
      bytes,
      frame: await encodeFrame(lines),
    };
    const totals = { lines: this.#sequence, bytes: this.#bytes, omittedBytes: this.#omitted };
    if (await storeChunk(this.#options.database, this.#options.run, chunk, totals)) return true;
    this.#closed = true;
    this.#pending = [];
    return false;
  }

  /** Beyond the limit the oldest chunk of the tail goes, so that what is kept is the beginning and the end. */
  async #finishChunk(): Promise<void> {
    const chunk = { firstSequence: this.#open[0]?.sequence ?? 0, bytes: this.#openBytes };
    this.#open = [];
    this.#openBytes = 0;
    if (this.#headBytes < this.#limit / 2) {
      this.#headBytes += chunk.bytes;
      return;
    }
    this.#tail.push(chunk);
    this.#tailBytes += chunk.bytes;
    while (this.#headBytes + this.#tailBytes > this.#limit && this.#tail.length > 1) {
      const oldest = this.#tail.shift();
      if (oldest === undefined) return;
      await deleteChunk(this.#options.database, this.#options.run, oldest.firstSequence);
      this.#tailBytes -= oldest.bytes;
      this.#omitted += oldest.bytes;
    }
  }
}
