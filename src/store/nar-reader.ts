/** Reads NARs strictly: what Nix refuses is refused here, and no input costs more memory than a chunk and a path. */
import {
  badNar,
  entryNameFault,
  linkTargetFault,
  MAX_DEPTH,
  MAX_NAME,
  MAX_TAG,
  MAX_TARGET,
  NAR_MAGIC,
  paddingOf,
} from './nar-format.ts';

/** Names from the root down, as bytes; empty for the root. */
export type NarPath = readonly Uint8Array[];

export type NarEvent =
  | { readonly type: 'directory'; readonly path: NarPath }
  | {
      readonly type: 'regular';
      readonly path: NarPath;
      readonly executable: boolean;
      readonly size: number;
      /** Bytes of the archive before the first byte of the contents. */
      readonly offset: number;
    }
  /** The next bytes of the last regular file; valid only during the call. */
  | { readonly type: 'contents'; readonly bytes: Uint8Array }
  | { readonly type: 'symlink'; readonly path: NarPath; readonly target: Uint8Array };

export interface NarReader {
  /** @throws KilnError invalid-input, too-large */
  write(chunk: Uint8Array): void;
  /** To be called after the last chunk. @returns bytes read. @throws KilnError invalid-input when the archive is cut off */
  end(): number;
}

export interface NarLimits {
  /** Bytes of the whole archive. */
  readonly maxSize?: number;
}

/** A reader that is given chunks; it calls `onEvent` in the order of the archive. */
export function createNarReader(onEvent: (event: NarEvent) => void, limits: NarLimits = {}): NarReader {
  const input = new Input(limits.maxSize ?? Number.MAX_SAFE_INTEGER);
  const parser = parseArchive(input, onEvent);
  let finished = false;
  const step = (): void => {
    finished = parser.next().done === true;
  };
  return {
    write(chunk) {
      input.add(chunk);
      if (!finished) step();
      if (finished && input.available > 0) throw badNar('bytes follow its end', input.offset);
    },
    end() {
      if (!finished) step();
      if (!finished) throw badNar('it is cut off', input.offset + input.available);
      return input.offset;
    },
  };
}

/** Reads a stream of chunks to its end; `onEvent` is called on the way. @returns bytes read */
export async function readNar(
  source: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  onEvent: (event: NarEvent) => void,
  limits: NarLimits = {},
): Promise<number> {
  const reader = createNarReader(onEvent, limits);
  for await (const chunk of source) reader.write(chunk);
  return reader.end();
}

/** Each `yield` asks for more input; it is repeated until enough is there. */
type Step<T> = Generator<undefined, T, undefined>;

function* parseArchive(input: Input, onEvent: (event: NarEvent) => void): Step<void> {
  yield* expect(input, NAR_MAGIC);
  yield* parseNode(input, onEvent, []);
}

function* parseNode(input: Input, onEvent: (event: NarEvent) => void, path: NarPath): Step<void> {
  if (path.length > MAX_DEPTH) throw badNar(`it is nested deeper than ${MAX_DEPTH}`, input.offset);
  yield* expect(input, '(');
  yield* expect(input, 'type');
  const type = yield* readTag(input);
  if (type === 'regular') {
    yield* parseFile(input, onEvent, path);
    yield* expect(input, ')');
  } else if (type === 'symlink') {
    yield* expect(input, 'target');
    const target = yield* readString(input, MAX_TARGET, 'a link target');
    check(linkTargetFault(target), input);
    onEvent({ type: 'symlink', path, target });
    yield* expect(input, ')');
  } else if (type === 'directory') {
    onEvent({ type: 'directory', path });
    yield* parseEntries(input, onEvent, path);
  } else throw badNar(`${JSON.stringify(type)} is no type of file`, input.offset);
}

function* parseEntries(input: Input, onEvent: (event: NarEvent) => void, path: NarPath): Step<void> {
  let previous: Uint8Array | undefined;
  for (;;) {
    const tag = yield* readTag(input);
    if (tag === ')') return;
    if (tag !== 'entry')
      throw badNar(`${JSON.stringify(tag)} stands where an entry is expected`, input.offset);
    yield* expect(input, '(');
    yield* expect(input, 'name');
    const name = yield* readString(input, MAX_NAME, 'a name');
    check(entryNameFault(name), input);
    const order = previous === undefined ? 1 : Buffer.compare(name, previous);
    if (order === 0) throw badNar('a name occurs twice', input.offset);
    if (order < 0) throw badNar('its entries are not sorted', input.offset);
    previous = name;
    yield* expect(input, 'node');
    yield* parseNode(input, onEvent, [...path, name]);
    yield* expect(input, ')');
  }
}

function* parseFile(input: Input, onEvent: (event: NarEvent) => void, path: NarPath): Step<void> {
  let tag = yield* readTag(input);
  const executable = tag === 'executable';
  if (executable) {
    if ((yield* readTag(input)) !== '') throw badNar('its executable mark has a value', input.offset);
    tag = yield* readTag(input);
  }
  if (tag !== 'contents')
    throw badNar(`${JSON.stringify(tag)} stands where contents are expected`, input.offset);
  const size = yield* readNumber(input);
  onEvent({ type: 'regular', path, executable, size, offset: input.offset });
  let left = size;
  while (left > 0) {
    while (input.available === 0) yield;
    const bytes = input.take(Math.min(left, input.available));
    left -= bytes.length;
    onEvent({ type: 'contents', bytes });
  }
  yield* readPadding(input, size);
}

function* expect(input: Input, wanted: string): Step<void> {
  const found = yield* readTag(input);
  if (found !== wanted) {
    throw badNar(`${JSON.stringify(found)} stands where ${JSON.stringify(wanted)} is expected`, input.offset);
  }
}

function* readTag(input: Input): Step<string> {
  return Buffer.from(yield* readString(input, MAX_TAG, 'a tag')).toString('latin1');
}

function* readString(input: Input, limit: number, what: string): Step<Uint8Array> {
  const length = yield* readNumber(input);
  if (length > limit) throw badNar(`${what} is longer than ${limit} bytes`, input.offset);
  while (input.available < length) yield;
  // A copy: names outlive the chunk they came in.
  const value = Uint8Array.from(input.take(length));
  yield* readPadding(input, length);
  return value;
}

function* readPadding(input: Input, length: number): Step<void> {
  const count = paddingOf(length);
  while (input.available < count) yield;
  if (input.take(count).some((byte) => byte !== 0)) throw badNar('its padding is not zero', input.offset);
}

function* readNumber(input: Input): Step<number> {
  while (input.available < 8) yield;
  const bytes = input.take(8);
  const value = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw badNar('a length is beyond all reason', input.offset);
  return Number(value);
}

function check(fault: string | undefined, input: Input): void {
  if (fault !== undefined) throw badNar(fault, input.offset);
}

/** What has come and was not read yet; never more than one chunk and the rest of the one before. */
class Input {
  #buffer: Uint8Array = new Uint8Array(0);
  #position = 0;
  #received = 0;
  readonly #maxSize: number;
  /** Bytes read so far. */
  offset = 0;

  constructor(maxSize: number) {
    this.#maxSize = maxSize;
  }

  get available(): number {
    return this.#buffer.length - this.#position;
  }

  add(chunk: Uint8Array): void {
    this.#received += chunk.length;
    if (this.#received > this.#maxSize)
      throw badNar(`it is larger than the ${this.#maxSize} bytes it may have`, this.#maxSize);
    this.#buffer =
      this.available === 0 ? chunk : Buffer.concat([this.#buffer.subarray(this.#position), chunk]);
    this.#position = 0;
  }

  take(count: number): Uint8Array {
    const bytes = this.#buffer.subarray(this.#position, this.#position + count);
    this.#position += count;
    this.offset += count;
    return bytes;
  }
}
