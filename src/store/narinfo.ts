/** `.narinfo` files of binary caches, by the rules of Nix's `nar-info.cc`. */
import type { NarHash, StorePath } from '../base/brand.ts';
import { KilnError } from '../base/error.ts';
import { formatNix32, parseHash, type Hash } from './hash.ts';
import { parseNarHash } from './nar-hash.ts';
import { baseNameOf, parseStorePath, storePathFromBaseName } from './store-path.ts';

export interface NarInfo {
  readonly path: StorePath;
  /** Relative to the cache's address, or absolute; opaque, its query belongs to it. */
  readonly url: string;
  /** `none`, `xz`, `zstd`, `bzip2`, `gzip`, `br` … */
  readonly compression: string;
  /** Of the compressed file; stated, not signed. */
  readonly fileHash?: Hash;
  /** Bytes of the compressed file. */
  readonly fileSize?: number;
  readonly narHash: NarHash;
  readonly narSize: number;
  /** In the order of the file. */
  readonly references: readonly StorePath[];
  readonly deriver?: StorePath;
  /** `name:base64` each. */
  readonly signatures: readonly string[];
  readonly ca?: string;
  /** Lines whose key is not known here, as they came. */
  readonly extra?: readonly (readonly [key: string, value: string])[];
}

/** Bytes; a path with thousands of references stays far below. */
const MAX_NARINFO = 2 * 2 ** 20;

const REPEATABLE = 'Sig';

/** @throws KilnError invalid-input (with the line), too-large */
export function parseNarInfo(text: string): NarInfo {
  if (text.length > MAX_NARINFO)
    throw new KilnError('too-large', `A narinfo has at most ${MAX_NARINFO} bytes`);
  const fields = new Map<string, string>();
  const signatures: string[] = [];
  const extra: [string, string][] = [];
  for (const [key, value] of readLines(text)) {
    if (key === REPEATABLE) signatures.push(value);
    else if (!KNOWN.has(key)) extra.push([key, value]);
    else if ((fields.get(key) ?? '') === '') fields.set(key, value);
    else if (key === 'References' || key === 'CA') throw invalid(`it states ${key} twice`);
    else fields.set(key, value);
  }
  const fileHash = optional(fields, 'FileHash');
  const fileSize = optional(fields, 'FileSize');
  const deriver = optional(fields, 'Deriver');
  const ca = optional(fields, 'CA');
  const references = optional(fields, 'References');
  return {
    path: within('StorePath', () => parseStorePath(required(fields, 'StorePath'))),
    url: required(fields, 'URL'),
    // A missing compression means bzip2, for caches older than the key.
    compression: optional(fields, 'Compression') ?? 'bzip2',
    ...(fileHash === undefined ? {} : { fileHash: within('FileHash', () => parseHash(fileHash)) }),
    ...(fileSize === undefined ? {} : { fileSize: parseCount('FileSize', fileSize) }),
    narHash: within('NarHash', () => parseNarHash(required(fields, 'NarHash'))),
    narSize: parsePositive('NarSize', required(fields, 'NarSize')),
    references: within('References', () =>
      (references ?? '')
        .split(' ')
        .filter((name) => name !== '')
        .map(storePathFromBaseName),
    ),
    ...(deriver === undefined || deriver === 'unknown-deriver'
      ? {}
      : { deriver: within('Deriver', () => storePathFromBaseName(deriver)) }),
    signatures,
    ...(ca === undefined ? {} : { ca }),
    ...(extra.length === 0 ? {} : { extra }),
  };
}

/** Writes the lines in Nix's order; references sorted. */
export function formatNarInfo(info: NarInfo): string {
  const references = [...new Set(info.references)].sort().map(baseNameOf);
  const lines: (readonly [string, string | number | undefined])[] = [
    ['StorePath', info.path],
    ['URL', info.url],
    ['Compression', info.compression],
    ['FileHash', info.fileHash === undefined ? undefined : formatNix32(info.fileHash)],
    ['FileSize', info.fileSize],
    ['NarHash', info.narHash],
    ['NarSize', info.narSize],
    ['References', references.join(' ')],
    ['Deriver', info.deriver === undefined ? undefined : baseNameOf(info.deriver)],
    ...info.signatures.map((signature) => [REPEATABLE, signature] as const),
    ['CA', info.ca],
    ...(info.extra ?? []),
  ];
  return lines
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}: ${value}\n`)
    .join('');
}

const KNOWN: ReadonlySet<string> = new Set([
  'StorePath',
  'URL',
  'Compression',
  'FileHash',
  'FileSize',
  'NarHash',
  'NarSize',
  'References',
  'Deriver',
  'CA',
]);

function* readLines(text: string): Generator<readonly [string, string]> {
  let start = 0;
  while (start < text.length) {
    const end = text.indexOf('\n', start);
    if (end < 0) throw invalid('its last line does not end');
    const line = text.slice(start, end);
    const colon = line.indexOf(':');
    if (colon < 1 || line[colon + 1] !== ' ') {
      // `Key:` without a value is how some writers state that there are no references.
      if (colon !== line.length - 1 || colon < 1)
        throw invalid(`"${line.slice(0, 80)}" is no "Key: value" line`);
    }
    yield [line.slice(0, colon), line.slice(colon + 2)];
    start = end + 1;
  }
}

function optional(fields: ReadonlyMap<string, string>, key: string): string | undefined {
  const value = fields.get(key);
  return value === '' ? undefined : value;
}

function required(fields: ReadonlyMap<string, string>, key: string): string {
  const value = optional(fields, key);
  if (value === undefined) throw invalid(`it states no ${key}`);
  return value;
}

function parsePositive(key: string, value: string): number {
  const count = parseCount(key, value);
  if (count === 0) throw invalid(`its ${key} is 0`);
  return count;
}

function parseCount(key: string, value: string): number {
  const count = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
  if (!Number.isSafeInteger(count)) throw invalid(`its ${key} is not a number of bytes`);
  return count;
}

function within<T>(key: string, parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    if (!(cause instanceof KilnError)) throw cause;
    if (cause.message.startsWith(PREFIX)) throw cause;
    throw new KilnError('invalid-input', `${PREFIX}its ${key} is wrong: ${cause.message}`, { cause });
  }
}

const PREFIX = 'This is not a valid narinfo: ';

function invalid(reason: string): KilnError {
  return new KilnError('invalid-input', PREFIX + reason);
}
