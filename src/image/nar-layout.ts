/** Offset table of a NAR: where its framing and each file's contents lie. Synchronous: meant for a worker thread. */
import { lstatSync, readdirSync, readlinkSync, type Stats } from 'node:fs';
import { MAX_DEPTH, NAR_MAGIC, paddingOf } from '../store/nar-format.ts';
import { lstatIfThere } from './lstat-if-there.ts';
import { changedFile, changedPath, fsPath, missingPath, type StoreLocation } from './walk-store-path.ts';

/** Names are byte strings: one character for each byte. */
export interface NarLayout {
  readonly storePath: string;
  /** Bytes of the NAR. */
  readonly length: number;
  /** Everything that is not contents, padding included, in order. */
  readonly framing: Buffer;
  /** Per file, bytes of `framing` before its contents. */
  readonly framingBefore: Float64Array;
  /** Per file, offset in the NAR of its contents. */
  readonly starts: Float64Array;
  readonly sizes: Float64Array;
  /** Path of a file below the store's root, without a leading slash. */
  fileName(index: number): string;
  /** Bytes of memory. */
  readonly memory: number;
}

/** Called for each node in the order of the archive; the listing is made of it. */
export interface NarVisitor {
  file(name: string, executable: boolean, size: number, offset: number): void;
  link(name: string, target: string): void;
  enter(name: string): void;
  leave(): void;
}

/**
 * Walks a store path. Entries are sorted by the bytes of their names, as in every NAR.
 * @throws KilnError store-path-missing, store-path-changed
 */
export function narLayout(storePath: string, location: StoreLocation, visitor?: NarVisitor): NarLayout {
  const stat = lstatIfThere(location.physicalRoot + storePath);
  if (stat === undefined) throw missingPath(storePath);
  const walk = new Walk(location, visitor);
  try {
    walk.root(storePath.slice(1), stat);
  } catch (error) {
    throw changedPath(storePath, error);
  }
  return walk.finish(storePath);
}

class Walk {
  readonly #location: StoreLocation;
  readonly #visitor: NarVisitor | undefined;
  readonly #framing = new Framing();
  readonly #framingBefore: number[] = [];
  readonly #starts: number[] = [];
  readonly #sizes: number[] = [];
  readonly #folders: string[] = [];
  readonly #folderOf: number[] = [];
  readonly #names: string[] = [];
  #contents = 0;
  #text = 0;

  constructor(location: StoreLocation, visitor: NarVisitor | undefined) {
    this.#location = location;
    this.#visitor = visitor;
  }

  root(name: string, stat: Stats): void {
    this.#framing.add(wordsOf(NAR_MAGIC));
    const cut = name.lastIndexOf('/') + 1;
    this.#folders.push(name.slice(0, cut));
    const kind = stat.isDirectory() ? 'directory' : stat.isSymbolicLink() ? 'symlink' : 'file';
    this.#node(name.slice(0, cut), 0, name.slice(cut), kind, 0, true);
  }

  finish(storePath: string): NarLayout {
    const framing = this.#framing.take();
    const [folders, folderOf, names] = [this.#folders, Int32Array.from(this.#folderOf), this.#names];
    return {
      storePath,
      length: framing.length + this.#contents,
      framing,
      framingBefore: Float64Array.from(this.#framingBefore),
      starts: Float64Array.from(this.#starts),
      sizes: Float64Array.from(this.#sizes),
      fileName: (index) => (folders[folderOf[index] ?? 0] ?? '') + (names[index] ?? ''),
      memory: framing.length + this.#text + names.length * 60,
    };
  }

  #node(
    folder: string,
    folderIndex: number,
    name: string,
    kind: 'directory' | 'symlink' | 'file',
    depth: number,
    isRoot: boolean,
  ): void {
    if (depth > MAX_DEPTH) throw changedFile(folder + name, `is nested deeper than ${MAX_DEPTH}`);
    const shown = isRoot ? '' : name;
    if (!isRoot) this.#framing.entry(name);
    if (kind === 'directory') this.#directory(`${folder}${name}/`, shown, depth);
    else if (kind === 'symlink') {
      const target = readlinkSync(this.#path(folder + name), 'latin1');
      this.#framing.add(SYMLINK);
      this.#framing.string(target);
      this.#visitor?.link(shown, target);
    } else this.#file(folder, folderIndex, name, shown);
    this.#framing.add(isRoot ? CLOSE : CLOSE_ENTRY);
  }

  #directory(folder: string, shown: string, depth: number): void {
    this.#framing.add(DIRECTORY);
    this.#visitor?.enter(shown);
    const index = this.#folders.push(folder) - 1;
    this.#text += folder.length;
    const members = readdirSync(this.#path(folder), { withFileTypes: true, encoding: 'latin1' });
    // Strings of bytes compare like the bytes.
    members.sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const member of members) {
      const kind = member.isDirectory() ? 'directory' : member.isSymbolicLink() ? 'symlink' : 'file';
      this.#node(folder, index, member.name, kind, depth + 1, false);
    }
    this.#visitor?.leave();
  }

  #file(folder: string, folderIndex: number, name: string, shown: string): void {
    const stat = lstatSync(this.#path(folder + name));
    if (!stat.isFile()) throw changedFile(folder + name, 'is neither a file, a directory nor a link');
    if (this.#location.registeredTimes && stat.mtimeMs !== 1000)
      throw changedFile(folder + name, 'was written to after it was registered');
    const executable = (stat.mode & 0o100) !== 0;
    this.#framing.add(executable ? PROGRAM : FILE);
    this.#framing.number(stat.size);
    const offset = this.#framing.length + this.#contents;
    this.#framingBefore.push(this.#framing.length);
    this.#starts.push(offset);
    this.#sizes.push(stat.size);
    this.#folderOf.push(folderIndex);
    this.#names.push(name);
    this.#contents += stat.size;
    this.#text += name.length;
    this.#framing.zeros(paddingOf(stat.size));
    this.#visitor?.file(shown, executable, stat.size, offset);
  }

  #path(name: string): ReturnType<typeof fsPath> {
    return fsPath(`${this.#location.physicalRoot}/${name}`);
  }
}

/** Grows by doubling. */
class Framing {
  #buffer = Buffer.alloc(4096);
  length = 0;

  add(bytes: Buffer): void {
    this.#room(bytes.length);
    bytes.copy(this.#buffer, this.length);
    this.length += bytes.length;
  }

  number(value: number): void {
    this.#room(8);
    this.#buffer.writeUInt32LE(value % 2 ** 32, this.length);
    this.#buffer.writeUInt32LE(Math.floor(value / 2 ** 32), this.length + 4);
    this.length += 8;
  }

  string(bytes: string): void {
    this.number(bytes.length);
    this.#room(bytes.length);
    this.#buffer.write(bytes, this.length, 'latin1');
    this.length += bytes.length;
    this.zeros(paddingOf(bytes.length));
  }

  entry(name: string): void {
    this.add(ENTRY);
    this.string(name);
    this.add(NODE);
  }

  /** The buffer beyond `length` is zero already. */
  zeros(count: number): void {
    this.#room(count);
    this.length += count;
  }

  take(): Buffer {
    return Buffer.from(this.#buffer.subarray(0, this.length));
  }

  #room(count: number): void {
    if (this.length + count <= this.#buffer.length) return;
    const larger = Buffer.alloc(Math.max(this.#buffer.length * 2, this.length + count));
    this.#buffer.copy(larger, 0, 0, this.length);
    this.#buffer = larger;
  }
}

function wordsOf(...words: readonly string[]): Buffer {
  const parts = words.flatMap((word) => {
    const length = Buffer.alloc(8);
    length.writeUInt32LE(word.length);
    return [length, Buffer.from(word), Buffer.alloc(paddingOf(word.length))];
  });
  return Buffer.concat(parts);
}

const ENTRY = wordsOf('entry', '(', 'name');
const NODE = wordsOf('node');
const DIRECTORY = wordsOf('(', 'type', 'directory');
const SYMLINK = wordsOf('(', 'type', 'symlink', 'target');
const FILE = wordsOf('(', 'type', 'regular', 'contents');
const PROGRAM = wordsOf('(', 'type', 'regular', 'executable', '', 'contents');
const CLOSE = wordsOf(')');
const CLOSE_ENTRY = wordsOf(')', ')');
