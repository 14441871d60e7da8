/** Where each file of a store path lies in the tar, in typed arrays: about 50 bytes per file. */
import type { TarEntry } from '../oci/tar-header.ts';
import type { StoreEntry } from '../oci/layer-recipe.ts';
import { paddedSize, tarHeaderLength } from '../oci/tar-header.ts';
import { lstatIfThere } from './lstat-if-there.ts';
import { type EntryOf, treeEntries } from './tree-entry.ts';
import {
  changedFile,
  fsPath,
  missingPath,
  type StoreLocation,
  type TreeNode,
  walkStorePath,
} from './walk-store-path.ts';

const FILE = 0;
const PROGRAM = 1;
const DIRECTORY = 2;
const LINK = 3;

export class TreeLayout {
  /** By which a cache finds it. */
  readonly key: string;
  readonly storePath: string;
  /** Bytes of all entries. */
  readonly length: number;
  readonly count: number;
  readonly #kinds: Uint8Array;
  readonly #parents: Int32Array;
  readonly #sizes: Float64Array;
  /** Start of each entry's header, from the start of the tree; one more at the end. */
  readonly #offsets: Float64Array;
  readonly #nameStarts: Uint32Array;
  /** Last part of each name; a link's is followed by a zero byte and its target. */
  readonly #names: Buffer;
  readonly #entryOf: EntryOf;
  #checkedAt: number;
  #prefixOf = -1;
  #prefix = '';

  /** Walks the tree. @throws KilnError store-path-missing, store-path-changed */
  constructor(key: string, entry: StoreEntry, mtime: number, location: StoreLocation) {
    this.key = key;
    this.storePath = entry.path;
    this.#entryOf = treeEntries(entry, mtime);
    this.#checkedAt = performance.now();
    const rows = collect(entry.path, this.#entryOf, location);
    this.length = rows.offsets.at(-1) ?? 0;
    this.count = rows.kinds.length;
    this.#kinds = Uint8Array.from(rows.kinds);
    this.#parents = Int32Array.from(rows.parents);
    this.#sizes = Float64Array.from(rows.sizes);
    this.#offsets = Float64Array.from(rows.offsets);
    this.#nameStarts = Uint32Array.from(rows.nameStarts);
    const names = rows.names.join('');
    this.#names = Buffer.from(names, 'latin1');
    // oxlint-disable-next-line no-control-regex -- the ASCII range is what is meant
    this.ascii = /^[\x00-\x7f]*$/.test(names);
  }

  /** True when every name is plain ASCII, so that names are paths as they are. */
  readonly ascii: boolean;

  /** Bytes of memory. */
  get memory(): number {
    return this.count * (1 + 4 + 8 + 8 + 4) + this.#names.length;
  }

  /** The entry that holds the byte at `offset`. */
  at(offset: number): number {
    let [low, high] = [0, this.count - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#offsets[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  offsetOf(index: number): number {
    return this.#offsets[index] ?? this.length;
  }

  entry(index: number): TarEntry {
    const kind = this.#kinds[index];
    const text = this.#text(index);
    const cut = kind === LINK ? text.indexOf('\0') : text.length;
    const node: Omit<TreeNode, 'parentLength'> = {
      kind: kind === DIRECTORY ? 'directory' : kind === LINK ? 'symlink' : 'file',
      name:
        this.#prefixFor(this.#parents[index] ?? -1) + text.slice(0, cut) + (kind === DIRECTORY ? '/' : ''),
      target: text.slice(cut + 1),
      executable: kind === PROGRAM,
      size: this.#sizes[index] ?? 0,
    };
    return this.#entryOf(node);
  }

  /**
   * Compares sizes of the files of an entry range with the store, before their bytes are promised to anybody. Skipped when all
   * of the tree was looked at less than `freshMs` ago. @throws KilnError store-path-missing, store-path-changed
   */
  check(from: number, to: number, location: StoreLocation, freshMs: number): void {
    if (lstatIfThere(location.physicalRoot + this.storePath) === undefined) throw missingPath(this.storePath);
    const now = performance.now();
    if (now - this.#checkedAt < freshMs) return;
    for (let index = from; index <= to; index++) {
      const kind = this.#kinds[index];
      if (kind !== FILE && kind !== PROGRAM) continue;
      const { name, size } = this.entry(index);
      const stat = lstatIfThere(fsPath(`${location.physicalRoot}/${name}`));
      if (stat?.isFile() !== true || stat.size !== size)
        throw changedFile(name, 'is not what it was when the image was built');
      if (location.registeredTimes && stat.mtimeMs !== 1000)
        throw changedFile(name, 'was written to after it was registered');
    }
    if (from === 0 && to === this.count - 1) this.#checkedAt = now;
  }

  #text(index: number): string {
    return this.#names.toString('latin1', this.#nameStarts[index] ?? 0, this.#nameStarts[index + 1] ?? 0);
  }

  /** Archive name of a directory, with its slash. Neighbours share it, so the last one is remembered. */
  #prefixFor(directory: number): string {
    if (directory === -1) return 'nix/store/';
    if (directory !== this.#prefixOf) {
      let prefix = '';
      for (let index = directory; index !== -1; index = this.#parents[index] ?? -1)
        prefix = `${this.#text(index)}/${prefix}`;
      this.#prefix = `nix/store/${prefix}`;
      this.#prefixOf = directory;
    }
    return this.#prefix;
  }
}

interface Rows {
  readonly kinds: number[];
  readonly parents: number[];
  readonly sizes: number[];
  readonly offsets: number[];
  readonly nameStarts: number[];
  readonly names: string[];
}

function collect(storePath: string, entryOf: EntryOf, location: StoreLocation): Rows {
  const rows: Rows = { kinds: [], parents: [], sizes: [], offsets: [0], nameStarts: [0], names: [] };
  const open: { readonly length: number; readonly index: number }[] = [];
  let offset = 0;
  let used = 0;
  for (const node of walkStorePath(storePath, location)) {
    let parent = open.at(-1);
    while (parent !== undefined && parent.length !== node.parentLength) {
      open.pop();
      parent = open.at(-1);
    }
    const start = node.parentLength;
    const own = node.kind === 'directory' ? node.name.slice(start, -1) : node.name.slice(start);
    const text = node.kind === 'symlink' ? `${own}\0${node.target}` : own;
    if (node.kind === 'directory') open.push({ length: node.name.length, index: rows.kinds.length });
    rows.kinds.push(kindOf(node));
    rows.parents.push(parent?.index ?? -1);
    rows.sizes.push(node.size);
    offset += tarHeaderLength(entryOf(node)) + paddedSize(node.size);
    rows.offsets.push(offset);
    used += text.length;
    rows.nameStarts.push(used);
    rows.names.push(text);
  }
  return rows;
}

function kindOf(node: TreeNode): number {
  if (node.kind === 'directory') return DIRECTORY;
  if (node.kind === 'symlink') return LINK;
  return node.executable ? PROGRAM : FILE;
}
