/** Pushes an image or index: blobs first, members before indexes, the tag last; only what the target lacks travels. */
import { createHash } from 'node:crypto';
import pLimit from 'p-limit';
import type { OciDigest } from '../base/brand.ts';
import { canonicalJson, type Json } from '../base/canonical-json.ts';
import { isKilnError } from '../base/error.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { digestOf, finishDigest } from '../oci/digest.ts';
import { parseManifest } from '../oci/manifest.ts';
import {
  DOCKER_LAYER_GZIP,
  DOCKER_LAYER_TAR,
  layerCompression,
  OCI_LAYER_GZIP,
  OCI_LAYER_ZSTD,
} from '../oci/media-types.ts';
import { addReferrer } from './client-referrers.ts';
import { type BlobToSend, uploadBlob } from './client-upload.ts';
import { encodeLayer, encoderId, type LayerCodec } from './encode-layer.ts';
import type { ImageSource } from './image-source.ts';
import { noPushMemory, type PushMemory } from './push-memory.ts';
import type { RemoteManifest, RemoteRepository } from './registry-client.ts';

/** `auto`: as they are for Kiln's own registry, gzip for all others, which every runtime can read. */
export type PushEncoding = 'auto' | 'keep' | LayerCodec;

export interface PushOptions {
  readonly source: ImageSource;
  readonly target: RemoteRepository;
  /** Tags to set; none pushes by digest. */
  readonly tags: readonly string[];
  readonly encoding?: PushEncoding;
  readonly memory?: PushMemory;
  /** Blobs under way at once. */
  readonly concurrency?: number;
  readonly onProgress?: (progress: { readonly digest: OciDigest; readonly bytes: number }) => void;
  readonly signal?: AbortSignal;
}

export interface PushResult {
  /** Digest at the target; another one than the source's where layers were encoded. */
  readonly digest: OciDigest;
  readonly encoding: 'keep' | LayerCodec;
  readonly uploaded: number;
  readonly mounted: number;
  readonly present: number;
  /** Bytes of blobs that were sent. */
  readonly bytesSent: number;
}

/** @throws KilnError registry-failed, unreachable, unauthorized, forbidden, not-found */
export async function pushImage(options: PushOptions): Promise<PushResult> {
  const encoding = await chooseEncoding(options);
  try {
    return await new Push(options, encoding, options.memory ?? noPushMemory).run();
  } catch (error) {
    if (!isKilnError(error) || !forgotBlobs(error.fields['remote']) || options.memory === undefined)
      throw error;
    // The registry removed what it was remembered to hold: ask about everything this time.
    await options.memory.forget(options.target.host, options.target.name);
    return await new Push(options, encoding, options.memory).run();
  }
}

class Push {
  readonly #options: PushOptions;
  readonly #encoding: 'keep' | LayerCodec;
  readonly #memory: PushMemory;
  readonly #limit: ReturnType<typeof pLimit>;
  readonly #done = new Map<OciDigest, Promise<Descriptor>>();
  readonly #counts = { uploaded: 0, mounted: 0, present: 0, bytesSent: 0 };

  constructor(options: PushOptions, encoding: 'keep' | LayerCodec, memory: PushMemory) {
    this.#options = options;
    this.#encoding = encoding;
    this.#memory = memory;
    this.#limit = pLimit(options.concurrency ?? 4);
  }

  async run(): Promise<PushResult> {
    const { source, target, tags, signal } = this.#options;
    const manifest = await this.#withContents(await source.root(signal));
    for (const reference of tags.length > 0 ? tags : [manifest.digest]) await this.#put(reference, manifest);
    await this.#memory.recordPresent(target.host, target.name, manifest.digest);
    return { digest: manifest.digest, encoding: this.#encoding, ...this.#counts };
  }

  /** Sends everything below the manifest and returns it as the target is to have it. */
  async #withContents(manifest: RemoteManifest): Promise<RemoteManifest> {
    const { content } = parseManifest(
      manifest.content,
      manifest.mediaType === '' ? undefined : manifest.mediaType,
    );
    const mediaType = content.mediaType;
    if (content.kind === 'index') {
      const members: Descriptor[] = [];
      for (const member of content.manifests) members.push(await this.#member(member));
      return rewritten({ ...manifest, mediaType }, 'manifests', content.manifests, members);
    }
    const layers = await settleAll([
      this.#blob(content.config),
      ...content.layers.map((layer) => this.#layer(layer)),
    ]);
    return rewritten({ ...manifest, mediaType }, 'layers', content.layers, layers.slice(1));
  }

  async #member(member: Descriptor): Promise<Descriptor> {
    const found = await this.#options.source.manifest(member.digest, this.#options.signal);
    if (found === undefined) return member;
    const manifest = await this.#withContents({ ...found, mediaType: member.mediaType });
    await this.#put(manifest.digest, manifest);
    return { ...member, digest: manifest.digest, size: manifest.content.length };
  }

  async #put(reference: string, manifest: RemoteManifest): Promise<void> {
    const { target, signal } = this.#options;
    const { subject: noted } = await target.putManifest(reference, manifest, signal);
    if (!noted) await addReferrer(target, manifest, signal);
  }

  #layer(layer: Descriptor): Promise<Descriptor> {
    // Non-distributable layers are fetched from elsewhere (image-spec layer.md).
    if (/\.(?:nondistributable|foreign)\./.test(layer.mediaType)) return Promise.resolve(layer);
    const mediaType = encodedType(layer.mediaType, this.#encoding);
    if (mediaType === undefined || this.#encoding === 'keep') return this.#blob(layer);
    const codec = this.#encoding === 'zstd' && mediaType !== OCI_LAYER_ZSTD ? 'gzip' : this.#encoding;
    return this.#once(layer.digest, () => this.#sendEncoded(layer, codec, mediaType));
  }

  #blob(blob: Descriptor): Promise<Descriptor> {
    return this.#once(blob.digest, async () => {
      const { source } = this.#options;
      await this.#send(blob.digest, {
        digest: () => blob.digest,
        size: () => blob.size,
        open: (start, signal) => source.openBlob(blob, start, signal),
      });
      return blob;
    });
  }

  async #sendEncoded(layer: Descriptor, codec: LayerCodec, mediaType: string): Promise<Descriptor> {
    const encoder = encoderId(codec);
    const known = await this.#memory.encoded(layer.digest, encoder);
    let result = known;
    const { source } = this.#options;
    await this.#send(known?.digest, {
      digest: () => result?.digest ?? layer.digest,
      size: () => result?.size,
      async *open(start, signal) {
        const hash = createHash('sha256');
        let size = 0;
        for await (const chunk of encodeLayer(source.openBlob(layer, 0, signal), codec)) {
          hash.update(chunk);
          if (size + chunk.length > start) yield chunk.subarray(Math.max(0, start - size));
          size += chunk.length;
        }
        result = { digest: finishDigest(hash), size };
      },
    });
    const encoded = result ?? { digest: layer.digest, size: layer.size };
    if (known === undefined) {
      await this.#memory.recordEncoded(layer.digest, encoder, encoded);
      await this.#memory.recordPresent(this.#options.target.host, this.#options.target.name, encoded.digest);
    }
    return { ...layer, mediaType, digest: encoded.digest, size: encoded.size };
  }

  /** `digest` is undefined where the bytes must be made to know it. */
  async #send(digest: OciDigest | undefined, blob: BlobToSend): Promise<void> {
    const { target, signal, onProgress } = this.#options;
    const registry = target.host;
    if (digest !== undefined) {
      const known = await this.#memory.isPresent(registry, target.name, digest);
      if (known || (await target.hasBlob(digest, signal))) {
        this.#counts.present++;
        if (!known) await this.#memory.recordPresent(registry, target.name, digest);
        return;
      }
    }
    const from =
      digest === undefined ? undefined : await this.#memory.presentElsewhere(registry, target.name, digest);
    const outcome = await uploadBlob(target, blob, {
      ...(from === undefined ? {} : { mountFrom: from }),
      ...(signal === undefined ? {} : { signal }),
      onBytes: (bytes) => {
        this.#counts.bytesSent += bytes;
        onProgress?.({ digest: blob.digest(), bytes });
      },
    });
    this.#counts[outcome]++;
    if (digest !== undefined) await this.#memory.recordPresent(registry, target.name, digest);
  }

  /** Layers that several members of an index share are sent once. */
  #once(digest: OciDigest, work: () => Promise<Descriptor>): Promise<Descriptor> {
    const known = this.#done.get(digest);
    if (known !== undefined) return known;
    const result = this.#limit(work);
    this.#done.set(digest, result);
    return result;
  }
}

async function chooseEncoding(options: PushOptions): Promise<'keep' | LayerCodec> {
  const wanted = options.encoding ?? 'auto';
  if (wanted !== 'auto') return wanted;
  return (await options.target.isKiln(options.signal)) ? 'keep' : 'gzip';
}

/** Type of the encoded layer, or undefined where the layer stays as it is. Docker's schema has no type for zstd. */
function encodedType(mediaType: string, encoding: 'keep' | LayerCodec): string | undefined {
  if (encoding === 'keep' || layerCompression(mediaType) !== 'none') return undefined;
  if (mediaType === DOCKER_LAYER_TAR) return DOCKER_LAYER_GZIP;
  return encoding === 'gzip' ? OCI_LAYER_GZIP : OCI_LAYER_ZSTD;
}

/** The manifest with other descriptors under `field`; the same bytes where none differs. Unknown fields stay. */
function rewritten(
  manifest: RemoteManifest,
  field: 'layers' | 'manifests',
  before: readonly Descriptor[],
  after: readonly Descriptor[],
): RemoteManifest {
  if (before.every((descriptor, at) => descriptor.digest === after[at]?.digest)) return manifest;
  const original = JSON.parse(manifest.content.toString('utf8')) as Record<string, Json>;
  const list = original[field] as Record<string, Json>[];
  const changed = list.map((entry, at) => {
    const { mediaType, digest, size } = after[at] ?? {};
    return { ...entry, mediaType, digest, size };
  });
  const content = Buffer.from(canonicalJson({ ...original, [field]: changed }));
  return { mediaType: manifest.mediaType, digest: digestOf(content), content };
}

/** All results; a failure is thrown after the others have ended, so that nothing goes on behind the caller's back. */
async function settleAll<T>(work: readonly Promise<T>[]): Promise<T[]> {
  const results = await Promise.allSettled(work);
  return results.map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  });
}

function forgotBlobs(code: unknown): boolean {
  return code === 'MANIFEST_BLOB_UNKNOWN' || code === 'BLOB_UNKNOWN';
}
