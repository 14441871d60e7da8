/**
 * Headers of the tar profile "nix-oci-tar/1": POSIX ustar, with one PAX header only where ustar cannot say it.
 * Names are *byte strings*: one character (U+0000 to U+00FF) per byte, because file names need not be UTF-8.
 */
export interface TarEntry {
  readonly kind: 'file' | 'directory' | 'symlink';
  /** Byte string, relative, without `./`; a directory ends in `/`. */
  readonly name: string;
  /** Byte string; empty unless a symlink. */
  readonly target: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Bytes of content; 0 unless a file. */
  readonly size: number;
  /** Seconds since the Unix epoch. */
  readonly mtime: number;
}

export const TAR_BLOCK = 512;
/** Two blocks of zeros; no padding to 10 KiB. */
export const TAR_TRAILER = 2 * TAR_BLOCK;

const MAX_SIZE = 0o77777777777;
const MAX_ID = 0o7777777;
// oxlint-disable-next-line no-control-regex -- the ASCII range is what is meant
const ASCII = /^[\x01-\x7f]*$/;

/** `Buffer.fill` without its checks of encodings, which cost more than the filling of a few blocks. */
export function fillZero(out: Buffer, from: number, to: number): void {
  Uint8Array.prototype.fill.call(out, 0, from, to);
}

/** Bytes of content padded to whole blocks. */
export function paddedSize(size: number): number {
  return Math.ceil(size / TAR_BLOCK) * TAR_BLOCK;
}

/** Bytes that {@link writeTarHeader} writes for this entry: 512, or more with a PAX header. */
export function tarHeaderLength(entry: TarEntry): number {
  if (isPlain(entry)) return TAR_BLOCK;
  const pax = paxRecords(entry);
  return pax === '' ? TAR_BLOCK : 2 * TAR_BLOCK + paddedSize(pax.length);
}

/** Writes the header into `out` at `at`, where `tarHeaderLength` bytes are free; returns the position after it. */
export function writeTarHeader(out: Buffer, at: number, entry: TarEntry): number {
  const flag = TYPE_FLAG[entry.kind];
  if (isPlain(entry)) return writeBlock(out, at, entry, entry.name, '', flag);
  const pax = paxRecords(entry);
  let next = at;
  if (pax !== '') {
    // A constant folder name: the process id that other writers put here makes every digest new.
    const header = { ...PAX_ENTRY, mtime: entry.mtime, size: pax.length };
    next = writeBlock(out, next, header, `PaxHeaders/${toAscii(entry.name)}`.slice(0, 100), '', 'x');
    fillZero(out, next, next + paddedSize(pax.length));
    out.write(pax, next, 'latin1');
    next += paddedSize(pax.length);
  }
  if (!nameFits(entry.name)) return writeBlock(out, next, entry, toAscii(entry.name).slice(0, 100), '', flag);
  const cut = splitName(entry.name);
  return writeBlock(out, next, entry, entry.name.slice(cut + 1), entry.name.slice(0, Math.max(cut, 0)), flag);
}

const PAX_ENTRY = {
  kind: 'file',
  name: '',
  target: '',
  mode: 0o644,
  uid: 0,
  gid: 0,
  size: 0,
  mtime: 0,
} as const;
const TYPE_FLAG = { file: '0', directory: '5', symlink: '2' } as const;

/** True for what nearly every entry is: it fits, so no PAX header and no prefix is needed. */
function isPlain(entry: TarEntry): boolean {
  return (
    entry.name.length <= 100 &&
    entry.target.length <= 100 &&
    entry.size <= MAX_SIZE &&
    entry.uid <= MAX_ID &&
    entry.gid <= MAX_ID &&
    ASCII.test(entry.name) &&
    ASCII.test(entry.target)
  );
}

/** Position of the slash that splits a name into a prefix of at most 155 bytes and a rest of 1 to 100; -1 when there is none. */
function splitName(name: string): number {
  if (name.length <= 100) return -1;
  const cut = name.lastIndexOf('/', Math.min(155, name.length - 2));
  return cut > 0 && name.length - cut - 1 <= 100 ? cut : -1;
}

function nameFits(name: string): boolean {
  return ASCII.test(name) && (name.length <= 100 || splitName(name) > 0);
}

function targetFits(target: string): boolean {
  return target.length <= 100 && ASCII.test(target);
}

/** The PAX records of an entry, in the profile's order; empty when ustar is enough. */
function paxRecords(entry: TarEntry): string {
  let records = '';
  if (!nameFits(entry.name)) records += paxRecord('path', entry.name);
  if (!targetFits(entry.target)) records += paxRecord('linkpath', entry.target);
  if (entry.size > MAX_SIZE) records += paxRecord('size', String(entry.size));
  if (entry.uid > MAX_ID) records += paxRecord('uid', String(entry.uid));
  if (entry.gid > MAX_ID) records += paxRecord('gid', String(entry.gid));
  return records;
}

/** `<length> <key>=<value>\n`, where the length counts its own digits. */
function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length + String(rest.length).length;
  if (rest.length + String(length).length !== length) length = rest.length + String(length).length;
  return `${length}${rest}`;
}

function toAscii(name: string): string {
  return name.replace(/[^ -~]/g, '_');
}

function writeBlock(
  out: Buffer,
  at: number,
  entry: TarEntry,
  name: string,
  prefix: string,
  flag: string,
): number {
  fillZero(out, at, at + TAR_BLOCK);
  out.write(name, at, 'latin1');
  writeOctal(out, at + 100, 7, entry.mode);
  writeOctal(out, at + 108, 7, entry.uid > MAX_ID ? 0 : entry.uid);
  writeOctal(out, at + 116, 7, entry.gid > MAX_ID ? 0 : entry.gid);
  writeOctal(out, at + 124, 11, entry.size > MAX_SIZE ? 0 : entry.size);
  writeOctal(out, at + 136, 11, entry.mtime);
  out[at + 156] = flag.charCodeAt(0);
  if (entry.target !== '') {
    out.write(
      targetFits(entry.target) ? entry.target : toAscii(entry.target).slice(0, 100),
      at + 157,
      'latin1',
    );
  }
  out.write('ustar\u000000', at + 257, 'latin1');
  writeOctal(out, at + 329, 7, 0);
  writeOctal(out, at + 337, 7, 0);
  if (prefix !== '') out.write(prefix, at + 345, 'latin1');
  const sum =
    8 * 32 +
    sumOf(out, at, at + name.length) +
    sumOf(out, at + 100, at + 345) +
    sumOf(out, at + 345, at + 345 + prefix.length);
  writeOctal(out, at + 148, 6, sum);
  out[at + 155] = 32;
  return at + TAR_BLOCK;
}

function sumOf(out: Buffer, from: number, to: number): number {
  let sum = 0;
  for (let index = from; index < to; index++) sum += out[index] ?? 0;
  return sum;
}

/** `digits` octal digits; the byte after them stays zero. */
function writeOctal(out: Buffer, at: number, digits: number, value: number): void {
  let rest = value;
  for (let index = at + digits - 1; index >= at; index--) {
    const high = Math.floor(rest / 8);
    out[index] = 48 + (rest - high * 8);
    rest = high;
  }
}
