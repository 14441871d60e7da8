/**
 * Temporary roots, as Nix's own programs take them: a `nix-daemon --stdio` of ours is told the paths over the worker
 * protocol, and they are kept for as long as it runs. A root costs one message, not a process.
 */
import { join } from 'node:path';
import type { StorePath } from '../base/brand.ts';
import { KilnError } from '../base/error.ts';
import { streamProcess, type StreamedProcess } from '../process/stream-process.ts';
import { nixEnvironment, type NixInstallation } from './nix-installation.ts';
import { ByteReader } from './byte-reader.ts';

export interface TemporaryRoots extends Disposable {
  /**
   * Keeps `path` and all it refers to until disposed, or a little longer.
   * @returns undefined when the path is not valid. @throws KilnError nix-failed
   */
  hold(path: StorePath): Promise<Disposable | undefined>;
}

const CLIENT_MAGIC = 0x6e697863;
const SERVER_MAGIC = 0x6478696f;
/** 1.37: the last version without a negotiation of features, understood by every Nix from 2.24 on. */
const PROTOCOL = (1 << 8) | 37;
const IS_VALID_PATH = 1;
const ADD_TEMP_ROOT = 11;
/** Roots that one process collects before another takes over; it ends when the last of them is let go. */
const MAX_ROOTS = 2000;
/** Milliseconds that a process without a root in use stays for the next one. */
const IDLE_MS = 60_000;

export function createTemporaryRoots(nix: NixInstallation): TemporaryRoots {
  let current: RootHolder | undefined;
  const holders = new Set<RootHolder>();
  const take = (): RootHolder => {
    if (current !== undefined && current.usable) return current;
    const holder = new RootHolder(nix, () => {
      holders.delete(holder);
      if (current === holder) current = undefined;
    });
    holders.add(holder);
    current = holder;
    return holder;
  };
  return {
    hold: async (path) => await take().hold(path),
    [Symbol.dispose]: () => {
      for (const holder of holders) holder.end();
    },
  };
}

/** One process and the roots that it holds. */
class RootHolder {
  readonly #process: StreamedProcess;
  readonly #input: ByteReader;
  readonly #onEnd: () => void;
  #last: Promise<unknown>;
  #active = 0;
  #total = 0;
  #ended = false;
  #idle: NodeJS.Timeout | undefined;

  constructor(nix: NixInstallation, onEnd: () => void) {
    this.#process = streamProcess(join(nix.binDir, 'nix-daemon'), ['--stdio'], nixEnvironment(nix));
    this.#input = new ByteReader(this.#process.output);
    this.#onEnd = onEnd;
    this.#last = this.#greet();
    this.#last.catch(() => this.end());
  }

  get usable(): boolean {
    return !this.#ended && this.#total < MAX_ROOTS;
  }

  async hold(path: StorePath): Promise<Disposable | undefined> {
    this.#active++;
    this.#total++;
    clearTimeout(this.#idle);
    const request = this.#last.then(async () => {
      await this.#ask(ADD_TEMP_ROOT, path);
      return await this.#ask(IS_VALID_PATH, path);
    });
    this.#last = request;
    try {
      if ((await request) === 0) {
        this.#release();
        return undefined;
      }
    } catch (cause) {
      // A half-read answer would be taken for the next one.
      this.end();
      throw new KilnError('nix-failed', 'Nix did not take a temporary root', { where: path, cause });
    }
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (held) this.#release();
        held = false;
      },
    };
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#idle);
    this.#process[Symbol.dispose]();
    this.#onEnd();
  }

  #release(): void {
    this.#active--;
    if (this.#active > 0) return;
    if (!this.usable) this.end();
    else this.#idle = setTimeout(() => this.end(), IDLE_MS).unref();
  }

  async #greet(): Promise<void> {
    this.#process.input.write(numbers(CLIENT_MAGIC, PROTOCOL));
    if ((await this.#input.number()) !== SERVER_MAGIC) throw new Error('It does not speak the protocol');
    await this.#input.number();
    // No processor affinity, no reserved space.
    this.#process.input.write(numbers(0, 0));
    await this.#input.string();
    await this.#input.number();
    await this.#messages();
  }

  async #ask(operation: number, path: StorePath): Promise<number> {
    const bytes = Buffer.from(path);
    const padding = Buffer.alloc((8 - (bytes.length % 8)) % 8);
    this.#process.input.write(Buffer.concat([numbers(operation, bytes.length), bytes, padding]));
    await this.#messages();
    return await this.#input.number();
  }

  /** Reads what precedes each answer. @throws Error with Nix's message */
  async #messages(): Promise<void> {
    for (;;) {
      const tag = await this.#input.number();
      if (tag === 0x616c7473) return;
      if (tag === 0x6f6c6d67) await this.#input.string();
      else if (tag === 0x53545254) await this.#activity();
      else if (tag === 0x53544f50) await this.#input.number();
      else if (tag === 0x52534c54) {
        await this.#input.number();
        await this.#input.number();
        await this.#fields();
      } else if (tag === 0x63787470) {
        await this.#input.string();
        await this.#input.number();
        await this.#input.string();
        throw new Error(await this.#input.string());
      } else throw new Error(`The message ${tag} is not known`);
    }
  }

  async #activity(): Promise<void> {
    for (let field = 0; field < 3; field++) await this.#input.number();
    await this.#input.string();
    await this.#fields();
    await this.#input.number();
  }

  async #fields(): Promise<void> {
    for (let left = await this.#input.number(); left > 0; left--) {
      if ((await this.#input.number()) === 0) await this.#input.number();
      else await this.#input.string();
    }
  }
}

function numbers(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 8);
  for (const [index, value] of values.entries()) bytes.writeBigUInt64LE(BigInt(value), index * 8);
  return bytes;
}
