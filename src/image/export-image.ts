/**
 * Images as files: an OCI layout in a folder (image-spec image-layout.md), or the same in one tar that is an OCI archive and a
 * Docker archive at once, so that `docker load`, `podman load` and skopeo all take it.
 */
import { createHash } from 'node:crypto';
import { mkdir, open, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { OciDigest } from '../base/brand.ts';
import { canonicalJson, type Json } from '../base/canonical-json.ts';
import { KilnError } from '../base/error.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { digestAlgorithm, digestHex, finishDigest } from '../oci/digest.ts';
import { parseManifest } from '../oci/manifest.ts';
import { layerCompression } from '../oci/media-types.ts';
import {
  paddedSize,
  TAR_TRAILER,
  type TarEntry,
  tarHeaderLength,
  writeTarHeader,
} from '../oci/tar-header.ts';

export interface ExportedManifest {
  readonly digest: OciDigest;
  readonly mediaType: string;
  /** Exact bytes. */
  readonly content: Buffer;
}

/** Where the parts of the image come from. */
export interface ExportSource {
  /** The image or index itself. */
  root(signal?: AbortSignal): Promise<ExportedManifest>;
  /** A member of an index; undefined in a sparse one. */
  manifest(digest: OciDigest, signal?: AbortSignal): Promise<ExportedManifest | undefined>;
  /** The blob's bytes from `start` on. */
  openBlob(blob: Descriptor, start: number, signal?: AbortSignal): AsyncIterable<Buffer>;
}

export interface ExportOptions {
  /** `host/name:tag`, by which it is known after loading. */
  readonly reference: string;
  readonly signal?: AbortSignal;
}

/**
 * The archive's bytes; the same image gives the same bytes. An index is archived whole, and then only OCI tools read it.
 * @throws KilnError hash-mismatch, and what the source throws; then the archive is broken off
 */
export async function* exportArchive(
  source: ExportSource,
  options: ExportOptions,
): AsyncGenerator<Buffer, void, void> {
  const parts = await collect(source, options);
  for (const folder of ['blobs/', ...parts.folders])
    yield header({ ...FILE, kind: 'directory', name: folder, mode: 0o755 });
  for (const part of parts.blobs.values()) {
    yield header({ ...FILE, name: part.path, size: part.size });
    yield* verified(part, source, options.signal);
    yield Buffer.alloc(paddedSize(part.size) - part.size);
  }
  for (const [name, content] of Object.entries(parts.documents)) {
    yield header({ ...FILE, name, size: content.length });
    yield Buffer.concat([content, Buffer.alloc(paddedSize(content.length) - content.length)]);
  }
  yield Buffer.alloc(TAR_TRAILER);
}

/**
 * Writes the layout into `directory`, which is made when missing. Blobs that are there with the right size are left alone.
 * @throws KilnError hash-mismatch, and what the source throws
 */
export async function exportLayout(
  source: ExportSource,
  directory: string,
  options: ExportOptions,
): Promise<void> {
  const parts = await collect(source, options);
  for (const folder of parts.folders) await mkdir(join(directory, folder), { recursive: true });
  for (const part of parts.blobs.values()) {
    const path = join(directory, part.path);
    const there = await stat(path).catch(() => undefined);
    if (there?.size !== part.size) await writeVerified(path, verified(part, source, options.signal));
  }
  for (const name of ['oci-layout', 'index.json'])
    await writeFile(join(directory, name), parts.documents[name] ?? '');
}

const FILE: TarEntry = { kind: 'file', name: '', target: '', mode: 0o644, uid: 0, gid: 0, size: 0, mtime: 1 };

interface Part {
  readonly path: string;
  readonly size: number;
  readonly digest: OciDigest;
  readonly content: Buffer | Descriptor;
}

interface Parts {
  readonly blobs: ReadonlyMap<OciDigest, Part>;
  readonly folders: readonly string[];
  readonly documents: Readonly<Record<string, Buffer>>;
}

async function collect(source: ExportSource, options: ExportOptions): Promise<Parts> {
  const blobs = new Map<OciDigest, Part>();
  const add = (digest: OciDigest, size: number, content: Buffer | Descriptor): void => {
    blobs.set(digest, { path: blobPath(digest), size, digest, content });
  };
  const root = await source.root(options.signal);
  const queue = [root];
  let docker: Json;
  for (let manifest = queue.shift(); manifest !== undefined; manifest = queue.shift()) {
    add(manifest.digest, manifest.content.length, manifest.content);
    const { content } = parseManifest(manifest.content, manifest.mediaType);
    if (content.kind === 'index') {
      for (const member of content.manifests) {
        const found = await source.manifest(member.digest, options.signal);
        if (found !== undefined && !blobs.has(member.digest)) queue.push(found);
      }
      continue;
    }
    for (const blob of [content.config, ...content.layers]) add(blob.digest, blob.size, blob);
    if (manifest === root) docker = dockerManifest(content, options.reference);
  }
  const folders = [...new Set([...blobs.keys()].map((digest) => `blobs/${digestAlgorithm(digest)}/`))].sort();
  return { blobs, folders, documents: documents(root, docker, options.reference) };
}

function documents(root: ExportedManifest, docker: Json, reference: string): Record<string, Buffer> {
  const annotations = {
    'io.containerd.image.name': reference,
    'org.opencontainers.image.ref.name': /:([^:/@]+)(?:@.*)?$/.exec(reference)?.[1] ?? 'latest',
  };
  const entry = { mediaType: root.mediaType, digest: root.digest, size: root.content.length, annotations };
  const index = {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: [entry],
  };
  return {
    'index.json': Buffer.from(canonicalJson(index)),
    ...(docker === undefined ? {} : { 'manifest.json': Buffer.from(canonicalJson(docker)) }),
    'oci-layout': Buffer.from('{"imageLayoutVersion":"1.0.0"}'),
  };
}

/** What Docker's own `save` writes beside the layout. Undefined for layers that Docker archives cannot hold. */
function dockerManifest(
  content: { readonly config: Descriptor; readonly layers: readonly Descriptor[] },
  reference: string,
): Json {
  const fits = content.layers.every((layer) =>
    ['none', 'gzip'].includes(layerCompression(layer.mediaType) ?? ''),
  );
  if (!fits) return undefined;
  const Layers = content.layers.map((layer) => blobPath(layer.digest));
  return [{ Config: blobPath(content.config.digest), Layers, RepoTags: [reference] }];
}

async function* verified(
  part: Part,
  source: ExportSource,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer, void, void> {
  const { content, digest } = part;
  const algorithm = digestAlgorithm(digest);
  const hash = createHash(algorithm);
  let size = 0;
  for await (const chunk of Buffer.isBuffer(content) ? [content] : source.openBlob(content, 0, signal)) {
    signal?.throwIfAborted();
    hash.update(chunk);
    size += chunk.length;
    if (size > part.size) break;
    yield chunk;
  }
  if (size !== part.size || finishDigest(hash, algorithm) !== digest) {
    throw new KilnError('hash-mismatch', `The blob ${digest} does not have the bytes that its digest names`);
  }
}

async function writeVerified(path: string, content: AsyncIterable<Buffer>): Promise<void> {
  const draft = `${path}.part`;
  const file = await open(draft, 'w');
  try {
    for await (const chunk of content) await file.write(chunk);
    await file.close();
    await rename(draft, path);
  } catch (error) {
    await file.close().catch(() => undefined);
    await rm(draft, { force: true });
    throw error;
  }
}

function blobPath(digest: OciDigest): string {
  return `blobs/${digestAlgorithm(digest)}/${digestHex(digest)}`;
}

function header(entry: TarEntry): Buffer {
  const out = Buffer.alloc(tarHeaderLength(entry));
  writeTarHeader(out, 0, entry);
  return out;
}
