/** The files of an image as a running program sees them, without the image being unpacked. */
import { closeSync, openSync, readdirSync, readlinkSync, readSync } from 'node:fs';
import type { LiteralEntry } from '../oci/layer-recipe.ts';
import type { Closure } from '../store/closure.ts';
import { storePathOfFile } from '../store/store-path.ts';
import type { ReadAt } from './elf.ts';
import { lstatIfThere } from './lstat-if-there.ts';

export interface ImageFile {
  readonly kind: 'file' | 'directory';
  /** Path inside the image, without links. */
  readonly path: string;
  readonly executable: boolean;
  /** Reads of the content; empty for directories. */
  readonly content: Buffer | { readonly physical: string };
}

/** Linux follows this many links before it gives up. */
const MAX_LINKS = 40;

export class ImageTree {
  readonly #paths: ReadonlySet<string>;
  readonly #literals: ReadonlyMap<string, LiteralEntry>;
  readonly #physicalRoot: string;

  constructor(closure: Closure, literals: readonly LiteralEntry[], physicalRoot: string) {
    this.#paths = new Set(closure.paths.map((info) => info.path));
    this.#literals = new Map(literals.map((entry) => [entry.path, entry]));
    this.#physicalRoot = physicalRoot;
  }

  /** Follows links. Undefined when there is no such file in the image. */
  find(path: string): ImageFile | undefined {
    let pending = path.split('/').filter(Boolean);
    let done = '';
    let links = 0;
    let current: ImageFile | undefined = folder('/');
    while (pending.length > 0) {
      const [part = '', ...rest] = pending;
      pending = rest;
      if (current?.kind !== 'directory') return undefined;
      if (part === '.') continue;
      if (part === '..') {
        done = done.slice(0, Math.max(0, done.lastIndexOf('/')));
        current = this.#look(done === '' ? '/' : done)?.file;
        continue;
      }
      const next = this.#look(`${done}/${part}`);
      if (next === undefined) return undefined;
      if (next.target === undefined) {
        done = `${done}/${part}`;
        current = next.file;
        continue;
      }
      if (++links > MAX_LINKS) return undefined;
      pending = [...next.target.split('/').filter(Boolean), ...rest];
      if (next.target.startsWith('/')) {
        done = '';
        current = folder('/');
      }
    }
    return current;
  }

  /** Names in a folder of the closure, sorted; empty when there is no such folder. */
  list(path: string): string[] {
    const found = this.find(path);
    if (found?.kind !== 'directory' || storePathOfFile(found.path) === undefined) return [];
    return readdirSync(this.#physicalRoot + found.path).sort((a, b) => (a < b ? -1 : 1));
  }

  /** One step, without following. */
  #look(path: string): { file?: ImageFile; target?: string } | undefined {
    const literal = this.#literals.get(path);
    if (literal !== undefined) return lookLiteral(literal);
    if (path === '/' || path === '/nix' || path === '/nix/store') return { file: folder(path) };
    const storePath = storePathOfFile(path);
    if (storePath === undefined || !this.#paths.has(storePath)) return undefined;
    const physical = this.#physicalRoot + path;
    const stat = lstatIfThere(physical);
    if (stat === undefined) return undefined;
    if (stat.isSymbolicLink()) return { target: readlinkSync(physical) };
    if (stat.isDirectory()) return { file: folder(path) };
    return { file: { kind: 'file', path, executable: (stat.mode & 0o100) !== 0, content: { physical } } };
  }
}

/** Calls `use` with reads of the file's content; the file is open only meanwhile. */
export function withContent<T>(file: ImageFile, use: (readAt: ReadAt) => T): T {
  if (Buffer.isBuffer(file.content)) {
    const { content } = file;
    return use((offset, length) => content.subarray(offset, offset + length));
  }
  const fd = openSync(file.content.physical, 'r');
  try {
    return use((offset, length) => {
      const buffer = Buffer.alloc(length);
      return buffer.subarray(0, readSync(fd, buffer, 0, length, offset));
    });
  } finally {
    closeSync(fd);
  }
}

function lookLiteral(entry: LiteralEntry): { file?: ImageFile; target?: string } {
  if (entry.type === 'symlink') return { target: entry.target };
  if (entry.type === 'directory') return { file: folder(entry.path) };
  const content = Buffer.from(entry.contentBase64, 'base64');
  return { file: { kind: 'file', path: entry.path, executable: (entry.mode & 0o111) !== 0, content } };
}

function folder(path: string): ImageFile {
  return { kind: 'directory', path, executable: true, content: Buffer.alloc(0) };
}
