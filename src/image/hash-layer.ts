/** Reads every byte of a layer once, in order, and hashes it. Synchronous: meant for a worker thread. */
import { closeSync, openSync, readSync } from 'node:fs';
import { createHash, type Hash } from 'node:crypto';
import type { OciDigest } from '../base/brand.ts';
import { finishDigest } from '../oci/digest.ts';
import type { LayerRecipe } from '../oci/layer-recipe.ts';
import { recipeParts } from '../oci/recipe-parts.ts';
import {
  fillZero,
  paddedSize,
  TAR_TRAILER,
  tarHeaderLength,
  type TarEntry,
  writeTarHeader,
} from '../oci/tar-header.ts';
import { changedFile, fsPath, type StoreLocation, walkStorePath } from './walk-store-path.ts';
import { treeEntries } from './tree-entry.ts';

/** Large enough that system calls do not count, small enough for the processor's cache. */
const BUFFER_SIZE = 512 * 1024;

export interface HashedLayer {
  readonly digest: OciDigest;
  /** Bytes of the tar. */
  readonly size: number;
}

/** Bytes between two calls of `onBytes`. */
const REPORT_EVERY = 16 * 2 ** 20;

/**
 * @param onBytes called now and then with the bytes done so far
 * @throws KilnError store-path-missing, store-path-changed, invalid-input
 */
export function hashLayer(
  recipe: LayerRecipe,
  location: StoreLocation,
  buffer: Buffer = layerBuffer(),
  onBytes: (done: number) => void = () => undefined,
): HashedLayer {
  const sink = new HashSink(buffer, onBytes);
  for (const part of recipeParts(recipe)) {
    if (part.type === 'entry') {
      sink.header(part.entry);
      sink.bytes(part.content);
      continue;
    }
    const entryOf = treeEntries(part.entry, recipe.mtime);
    for (const node of walkStorePath(part.entry.path, location)) {
      sink.header(entryOf(node));
      if (node.kind === 'file') sink.file(location.physicalRoot, node.name, node.size);
    }
  }
  return sink.finish();
}

export function layerBuffer(): Buffer {
  return Buffer.allocUnsafeSlow(BUFFER_SIZE);
}

/** Collects the archive in one buffer, so that the hash is called once per buffer and not once per file. */
class HashSink {
  readonly #hash: Hash = createHash('sha256');
  readonly #buffer: Buffer;
  readonly #onBytes: (done: number) => void;
  #used = 0;
  #total = 0;
  #reported = 0;

  constructor(buffer: Buffer, onBytes: (done: number) => void) {
    this.#buffer = buffer;
    this.#onBytes = onBytes;
  }

  header(entry: TarEntry): void {
    const length = tarHeaderLength(entry);
    this.#room(length);
    this.#used = writeTarHeader(this.#buffer, this.#used, entry);
  }

  bytes(content: Buffer): void {
    this.#flush();
    this.#hash.update(content);
    this.#total += content.length;
    this.#zeros(paddedSize(content.length) - content.length);
  }

  file(physicalRoot: string, name: string, size: number): void {
    const fd = openSync(fsPath(`${physicalRoot}/${name}`), 'r');
    try {
      let left = size;
      // One byte more is asked for than expected, which tells a file that grew without another system call.
      for (;;) {
        if (this.#buffer.length - this.#used < Math.min(left + 1, 64 * 1024)) this.#flush();
        const count = readSync(
          fd,
          this.#buffer,
          this.#used,
          Math.min(left + 1, this.#buffer.length - this.#used),
          null,
        );
        if (count > left || (count === 0 && left > 0))
          throw changedFile(name, 'changed its size while it was read');
        this.#used += count;
        left -= count;
        if (count === 0 || left === 0) break;
      }
    } finally {
      closeSync(fd);
    }
    this.#zeros(paddedSize(size) - size);
  }

  finish(): HashedLayer {
    this.#zeros(TAR_TRAILER);
    this.#flush();
    return { digest: finishDigest(this.#hash), size: this.#total };
  }

  #zeros(count: number): void {
    this.#room(count);
    fillZero(this.#buffer, this.#used, this.#used + count);
    this.#used += count;
  }

  #room(count: number): void {
    if (this.#buffer.length - this.#used < count) this.#flush();
  }

  #flush(): void {
    if (this.#used === 0) return;
    this.#hash.update(this.#buffer.subarray(0, this.#used));
    this.#total += this.#used;
    this.#used = 0;
    if (this.#total - this.#reported < REPORT_EVERY) return;
    this.#reported = this.#total;
    this.#onBytes(this.#total);
  }
}
