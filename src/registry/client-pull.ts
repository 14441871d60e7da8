/** Pulls an image into an OCI layout on disk (image-spec image-layout.md); goes on where a broken pull stopped. */
import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import pLimit from 'p-limit';
import type { OciDigest } from '../base/brand.ts';
import { KilnError } from '../base/error.ts';
import { diskError } from '../blobs/disk-error.ts';
import type { Descriptor, Platform } from '../oci/descriptor.ts';
import { digestAlgorithm, digestHex, finishDigest } from '../oci/digest.ts';
import { parseManifest } from '../oci/manifest.ts';
import { passing } from './client-retry.ts';
import { readRemoteBlob } from './image-source.ts';
import type { RemoteManifest, RemoteRepository } from './registry-client.ts';

export interface PullOptions {
  /** Tag or digest. */
  readonly reference: string;
  readonly directory: string;
  /** Of an index take this member only, and make it the image. Default: the whole index. */
  readonly platform?: Platform;
  readonly concurrency?: number;
  readonly onProgress?: (progress: { readonly digest: OciDigest; readonly bytes: number }) => void;
  readonly signal?: AbortSignal;
}

export interface PullResult {
  readonly digest: OciDigest;
  readonly mediaType: string;
  /** Bytes of blobs that came over the network. */
  readonly bytesReceived: number;
}

/** @throws KilnError not-found, hash-mismatch, unreachable, unauthorized */
export async function pullImage(remote: RemoteRepository, options: PullOptions): Promise<PullResult> {
  const { reference, directory, signal } = options;
  await mkdir(join(directory, 'blobs'), { recursive: true });
  const pull = new Pull(remote, options);
  const root = await pull.root(await manifestOf(remote, reference, signal));
  await pull.contents(root);
  const entry = {
    mediaType: root.mediaType,
    digest: root.digest,
    size: root.content.length,
    annotations: { 'org.opencontainers.image.ref.name': reference },
  };
  await writeFile(join(directory, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  await writeFile(join(directory, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [entry] }));
  return { digest: root.digest, mediaType: root.mediaType, bytesReceived: pull.bytesReceived };
}

class Pull {
  readonly #remote: RemoteRepository;
  readonly #options: PullOptions;
  readonly #limit: ReturnType<typeof pLimit>;
  readonly #done = new Map<OciDigest, Promise<void>>();
  bytesReceived = 0;

  constructor(remote: RemoteRepository, options: PullOptions) {
    this.#remote = remote;
    this.#options = options;
    this.#limit = pLimit(options.concurrency ?? 4);
  }

  /** The manifest itself, or the member of an index for the wanted platform. */
  async root(manifest: RemoteManifest): Promise<RemoteManifest> {
    const { content } = parseManifest(manifest.content, manifest.mediaType);
    const { platform, signal } = this.#options;
    if (content.kind !== 'index' || platform === undefined)
      return { ...manifest, mediaType: content.mediaType };
    const member = content.manifests.find((candidate) => matches(candidate.platform, platform));
    if (member !== undefined) return await manifestOf(this.#remote, member.digest, signal);
    throw new KilnError(
      'not-found',
      `${this.#remote.name} has no image for ${platform.os}/${platform.architecture}`,
    );
  }

  async contents(manifest: RemoteManifest): Promise<void> {
    const { content } = parseManifest(manifest.content, manifest.mediaType);
    await this.#writeManifest(manifest);
    if (content.kind === 'index') {
      for (const member of content.manifests) {
        await this.contents(await manifestOf(this.#remote, member.digest, this.#options.signal));
      }
      return;
    }
    const blobs = [content.config, ...content.layers.filter((layer) => layer.urls === undefined)];
    const results = await Promise.allSettled(blobs.map((blob) => this.#blob(blob)));
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  #blob(blob: Descriptor): Promise<void> {
    const known = this.#done.get(blob.digest);
    if (known !== undefined) return known;
    const result = this.#limit(() => this.#download(blob));
    this.#done.set(blob.digest, result);
    return result;
  }

  async #download(blob: Descriptor): Promise<void> {
    const { directory, signal, onProgress } = this.#options;
    const target = blobPath(directory, blob.digest);
    if ((await sizeOf(target)) === blob.size) return;
    const partial = `${target}.partial`;
    await mkdir(dirname(target), { recursive: true });
    await this.#remote.client.retrying(async () => {
      const { hash, size } = await hashOf(partial, blob.digest);
      let at = size;
      const file = await open(partial, 'a');
      try {
        for await (const chunk of readRemoteBlob(this.#remote, blob, at, signal)) {
          await file.appendFile(chunk);
          hash.update(chunk);
          at += chunk.length;
          this.bytesReceived += chunk.length;
          onProgress?.({ digest: blob.digest, bytes: chunk.length });
        }
        await file.sync();
      } catch (error) {
        throw diskError(error, 'for a pull');
      } finally {
        await file.close();
      }
      const digest = finishDigest(hash, digestAlgorithm(blob.digest));
      if (digest === blob.digest) return;
      await rm(partial, { force: true });
      const failure = new KilnError(
        'hash-mismatch',
        `${this.#remote.host} sent bytes with the digest ${digest} for ${blob.digest}`,
      );
      // A left-over of an earlier pull may have been wrong; fresh bytes that are wrong stay so.
      throw size > 0 ? passing(failure) : failure;
    }, signal);
    await rename(partial, target);
  }

  async #writeManifest(manifest: RemoteManifest): Promise<void> {
    const path = blobPath(this.#options.directory, manifest.digest);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, manifest.content);
  }
}

async function manifestOf(
  remote: RemoteRepository,
  reference: string,
  signal: AbortSignal | undefined,
): Promise<RemoteManifest> {
  const manifest = await remote.readManifest(reference, signal);
  if (manifest !== undefined) return manifest;
  throw new KilnError('not-found', `${remote.host}/${remote.name} has no image ${reference}`);
}

function matches(candidate: Platform | undefined, wanted: Platform): boolean {
  return (
    candidate?.os === wanted.os &&
    candidate.architecture === wanted.architecture &&
    (wanted.variant === undefined || candidate.variant === wanted.variant)
  );
}

async function hashOf(path: string, digest: OciDigest): Promise<{ hash: Hash; size: number }> {
  const hash = createHash(digestAlgorithm(digest));
  const size = (await sizeOf(path)) ?? 0;
  if (size > 0) for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return { hash, size };
}

function blobPath(directory: string, digest: OciDigest): string {
  return join(directory, 'blobs', digestAlgorithm(digest), digestHex(digest));
}

async function sizeOf(path: string): Promise<number | undefined> {
  return (await stat(path).catch(() => undefined))?.size;
}
