/** What a dynamic ELF program needs to be loaded: interpreter, libraries, search path (System V gABI, chapters 4 and 5). */

export interface ElfFacts {
  readonly bits: 32 | 64;
  /** `e_machine`. */
  readonly machine: number;
  /** PT_INTERP; undefined for static programs and libraries. */
  readonly interpreter?: string;
  /** DT_NEEDED, in order. */
  readonly needed: readonly string[];
  /** DT_RUNPATH, or DT_RPATH where that is missing; `$ORIGIN` as it stands. */
  readonly runpath: readonly string[];
  /** True for DT_RPATH, which the libraries it leads to search as well. */
  readonly inherited: boolean;
}

/** Reads `length` bytes at `offset`, or fewer at the end of the file. */
export type ReadAt = (offset: number, length: number) => Buffer;

const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const DT_NEEDED = 1;
const DT_STRTAB = 5;
const DT_STRSZ = 10;
const DT_RPATH = 15;
const DT_RUNPATH = 29;
/** Bounds for broken files. */
const MAX_PROGRAM_HEADERS = 1024;
const MAX_DYNAMIC_BYTES = 1 << 20;
const MAX_STRING_BYTES = 16 << 20;
const MAX_PATH = 4096;

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly fileSize: number;
}

/** Undefined when the file is not ELF or its tables make no sense. Never throws for what is in the file. */
export function readElf(readAt: ReadAt): ElfFacts | undefined {
  const header = readAt(0, 64);
  if (header.length < 52 || header.readUInt32BE(0) !== 0x7f454c46) return undefined;
  const wide = header[4] === 2;
  if ((!wide && header[4] !== 1) || (header[5] !== 1 && header[5] !== 2) || (wide && header.length < 64))
    return undefined;
  const words = new WordReader(wide, header[5] === 1);
  const machine = words.half(header, 18);
  const segments = readSegments(header, words, readAt);
  if (segments === undefined) return undefined;
  const interpreter = readInterpreter(segments, readAt);
  const dynamic = readDynamic(segments, words, readAt);
  return {
    bits: wide ? 64 : 32,
    machine,
    ...(interpreter === undefined ? {} : { interpreter }),
    ...dynamic,
  };
}

/** Numbers of the file's width and byte order. Those beyond 2^53 come out inexact and then lie outside of any file. */
class WordReader {
  readonly wide: boolean;
  readonly #little: boolean;

  constructor(wide: boolean, little: boolean) {
    this.wide = wide;
    this.#little = little;
  }

  half(from: Buffer, at: number): number {
    if (at + 2 > from.length) return 0;
    return this.#little ? from.readUInt16LE(at) : from.readUInt16BE(at);
  }

  word(from: Buffer, at: number): number {
    if (at + 4 > from.length) return 0;
    return this.#little ? from.readUInt32LE(at) : from.readUInt32BE(at);
  }

  /** An address or offset: 4 or 8 bytes. */
  long(from: Buffer, at: number): number {
    if (!this.wide) return this.word(from, at);
    const [low, high] = this.#little
      ? [this.word(from, at), this.word(from, at + 4)]
      : [this.word(from, at + 4), this.word(from, at)];
    return high * 2 ** 32 + low;
  }
}

function readSegments(header: Buffer, words: WordReader, readAt: ReadAt): Segment[] | undefined {
  const { wide } = words;
  const offset = words.long(header, wide ? 32 : 28);
  const entrySize = words.half(header, wide ? 54 : 42);
  const count = words.half(header, wide ? 56 : 44);
  if (count === 0) return [];
  if (entrySize < (wide ? 56 : 32) || count > MAX_PROGRAM_HEADERS || !Number.isSafeInteger(offset))
    return undefined;
  const table = readAt(offset, entrySize * count);
  return Array.from({ length: Math.floor(table.length / entrySize) }, (_, index) => {
    const at = index * entrySize;
    return {
      type: words.word(table, at),
      offset: words.long(table, at + (wide ? 8 : 4)),
      address: words.long(table, at + (wide ? 16 : 8)),
      fileSize: words.long(table, at + (wide ? 32 : 16)),
    };
  });
}

function readInterpreter(segments: readonly Segment[], readAt: ReadAt): string | undefined {
  const segment = segments.find(({ type }) => type === PT_INTERP);
  if (segment === undefined || !Number.isSafeInteger(segment.offset)) return undefined;
  return textUntilZero(readAt(segment.offset, Math.min(segment.fileSize, MAX_PATH)), 0);
}

type Dynamic = Pick<ElfFacts, 'needed' | 'runpath' | 'inherited'>;

function readDynamic(segments: readonly Segment[], words: WordReader, readAt: ReadAt): Dynamic {
  const nothing = { needed: [], runpath: [], inherited: false };
  const segment = segments.find(({ type }) => type === PT_DYNAMIC);
  if (segment === undefined || !Number.isSafeInteger(segment.offset)) return nothing;
  const size = words.wide ? 16 : 8;
  const table = readAt(segment.offset, Math.min(segment.fileSize, MAX_DYNAMIC_BYTES));
  const entries: [tag: number, value: number][] = [];
  for (let at = 0; at + size <= table.length; at += size) {
    const tag = words.long(table, at);
    if (tag === 0) break;
    entries.push([tag, words.long(table, at + size / 2)]);
  }
  const valueOf = (tag: number): number | undefined => entries.find(([found]) => found === tag)?.[1];
  const strings = readStrings(segments, valueOf(DT_STRTAB), valueOf(DT_STRSZ), readAt);
  if (strings === undefined) return nothing;
  const runpath = valueOf(DT_RUNPATH) ?? valueOf(DT_RPATH);
  return {
    needed: entries
      .flatMap(([tag, value]) => (tag === DT_NEEDED ? [textUntilZero(strings, value)] : []))
      .filter(Boolean),
    runpath: runpath === undefined ? [] : textUntilZero(strings, runpath).split(':').filter(Boolean),
    inherited: valueOf(DT_RUNPATH) === undefined && runpath !== undefined,
  };
}

/** The string table is named by its address in memory, which a loaded segment maps to the file. */
function readStrings(
  segments: readonly Segment[],
  address: number | undefined,
  size: number | undefined,
  readAt: ReadAt,
): Buffer | undefined {
  if (address === undefined || size === undefined) return undefined;
  const holder = segments.find(
    (segment) =>
      segment.type === PT_LOAD && address >= segment.address && address < segment.address + segment.fileSize,
  );
  if (holder === undefined) return undefined;
  const offset = holder.offset + (address - holder.address);
  return Number.isSafeInteger(offset) ? readAt(offset, Math.min(size, MAX_STRING_BYTES)) : undefined;
}

function textUntilZero(from: Buffer, at: number): string {
  if (!Number.isSafeInteger(at) || at < 0 || at >= from.length) return '';
  const end = from.indexOf(0, at);
  return from.toString('latin1', at, Math.min(end === -1 ? from.length : end, at + MAX_PATH));
}
