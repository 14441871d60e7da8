/**
 * Applies one layer to a root file system (image-spec layer.md): files replace what is there, whiteouts remove it. Nothing is written
 * outside of the root, whatever links the layers below have made: every step of a path is looked at first.
 */
import {
  chmod,
  chown,
  lchown,
  link,
  lstat,
  mkdir,
  open,
  readdir,
  readlink,
  rm,
  symlink,
} from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { extract, type Header } from 'tar-stream';
import { KilnError, systemErrorCode } from '../base/error.ts';

export interface LayerBytes {
  readonly bytes: AsyncIterable<Buffer>;
  readonly compression: 'none' | 'gzip' | 'zstd';
  /** For messages: digest or file. */
  readonly name: string;
}

const MAX_LINKS = 40;
const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';

/** Devices are left out: runtimes bring their own. @throws KilnError image-failed for an archive that cannot be applied */
export async function unpackLayer(root: string, layer: LayerBytes, signal?: AbortSignal): Promise<void> {
  await mkdir(root, { recursive: true });
  const archive = extract();
  const unpacking = new Unpacking(root);
  const reading = (async () => {
    for await (const entry of archive) {
      await unpacking.apply(entry.header, entry as AsyncIterable<unknown>);
      entry.resume();
    }
  })();
  const source = Readable.from(layer.bytes);
  const options = signal === undefined ? {} : { signal };
  const feeding =
    layer.compression === 'none'
      ? pipeline(source, archive, options)
      : pipeline(
          source,
          layer.compression === 'gzip' ? createGunzip() : createZstdDecompress(),
          archive,
          options,
        );
  try {
    await Promise.all([feeding, reading]);
  } catch (error) {
    archive.destroy();
    await Promise.allSettled([feeding, reading]);
    if (signal?.aborted === true)
      throw new KilnError('cancelled', 'unpacking was cancelled', { cause: error });
    if (error instanceof KilnError || systemErrorCode(error) === 'ENOSPC') throw error;
    throw new KilnError('image-failed', `the layer ${layer.name} cannot be unpacked`, {
      where: error instanceof Error ? error.message : String(error),
      cause: error,
    });
  }
}

class Unpacking {
  readonly #root: string;
  readonly #own = process.getuid?.() === 0;
  /** What this layer made: an opaque folder hides only what lay below. */
  readonly #made = new Set<string>();

  constructor(root: string) {
    this.#root = root;
  }

  async apply(header: Header, content: AsyncIterable<unknown>): Promise<void> {
    const parts = partsOf(header.name);
    const name = parts.pop();
    if (name === undefined) return;
    const folder = await this.#folder(parts);
    if (name === OPAQUE) {
      for (const below of await readdir(folder)) {
        const path = join(folder, below);
        if (!this.#made.has(path)) await rm(path, { recursive: true, force: true });
      }
      return;
    }
    if (name.startsWith(WHITEOUT)) {
      const hidden = partsOf(name.slice(WHITEOUT.length));
      if (hidden.length === 1) await rm(join(folder, hidden[0] ?? ''), { recursive: true, force: true });
      return;
    }
    const path = join(folder, name);
    await this.#write(path, header, content);
    for (let at = path; at.length > this.#root.length; at = dirname(at)) this.#made.add(at);
  }

  async #write(path: string, header: Header, content: AsyncIterable<unknown>): Promise<void> {
    const there = await lstat(path).catch(() => undefined);
    const keeps = header.type === 'directory' && there?.isDirectory() === true;
    if (there !== undefined && !keeps) await rm(path, { recursive: true, force: true });
    switch (header.type) {
      case 'directory':
        if (!keeps) await mkdir(path);
        break;
      case 'file':
      case 'contiguous-file':
        await writeContent(path, content);
        break;
      case 'symlink':
        await symlink(header.linkname ?? '', path);
        if (this.#own) await lchown(path, header.uid ?? 0, header.gid ?? 0);
        return;
      case 'link': {
        const target = partsOf(header.linkname ?? '');
        const name = target.pop();
        if (name !== undefined) await link(join(await this.#folder(target), name), path);
        return;
      }
      default:
        return;
    }
    if (this.#own) await chown(path, header.uid ?? 0, header.gid ?? 0);
    await chmod(path, header.mode ?? 0o644);
  }

  /** The real folder of `parts` inside the root, made where it is missing. Links are followed as if the root were `/`. */
  async #folder(parts: readonly string[]): Promise<string> {
    let pending = [...parts];
    let done: string[] = [];
    let links = 0;
    for (let part = pending.shift(); part !== undefined; part = pending.shift()) {
      if (part === '' || part === '.') continue;
      if (part === '..') {
        done = done.slice(0, -1);
        continue;
      }
      const path = join(this.#root, ...done, part);
      const status = await lstat(path).catch(() => undefined);
      if (status === undefined) await mkdir(path);
      if (status?.isSymbolicLink() === true) {
        if (++links > MAX_LINKS) throw refused(path, 'has too many links');
        const target = await readlink(path);
        if (target.startsWith('/')) done = [];
        pending = [...target.split('/'), ...pending];
        continue;
      }
      if (status !== undefined && !status.isDirectory()) throw refused(path, 'is no folder');
      done.push(part);
    }
    return join(this.#root, ...done);
  }
}

async function writeContent(path: string, content: AsyncIterable<unknown>): Promise<void> {
  await using file = await open(path, 'wx');
  for await (const chunk of content) await file.write(chunk as Buffer);
}

function partsOf(name: string): string[] {
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..') || name.includes('\0')) throw refused(name, 'leads out of the image');
  return parts;
}

function refused(path: string, what: string): KilnError {
  return new KilnError('image-failed', `a layer of the image cannot be unpacked: ${path} ${what}`);
}
