/** Where an image that is pushed comes from: this catalog, an OCI layout on disk, another registry. */
import { readFile } from 'node:fs/promises';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { OciDigest, RepositoryName } from '../base/brand.ts';
import { KilnError } from '../base/error.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { digestAlgorithm, digestHex, digestOf, isDigest } from '../oci/digest.ts';
import { connectionFailure } from './client-http.ts';
import { passing } from './client-retry.ts';
import type { RemoteManifest, RemoteRepository } from './registry-client.ts';

export interface ImageSource {
  /** For messages. */
  readonly name: string;
  /** The image or index itself. @throws KilnError not-found */
  root(signal?: AbortSignal): Promise<RemoteManifest>;
  /** A member of an index; undefined in a sparse one. */
  manifest(digest: OciDigest, signal?: AbortSignal): Promise<RemoteManifest | undefined>;
  /** The blob's bytes from `start` on. */
  openBlob(blob: Descriptor, start: number, signal?: AbortSignal): AsyncIterable<Buffer>;
}

export function catalogSource(catalog: Catalog, repository: RepositoryName, reference: string): ImageSource {
  return {
    name: `${repository} ${reference}`,
    async root() {
      const manifest = await catalog.readManifest(repository, reference);
      return manifest ?? missing(`${repository} ${reference}`);
    },
    manifest: (digest) => catalog.readManifest(repository, digest),
    async *openBlob(blob, start, signal) {
      const content = await catalog.findBlob(repository, blob.digest);
      if (content === undefined) return missing(`the blob ${blob.digest}`);
      yield* catalog.readBlob(content, { start, end: content.size }, signal);
    },
  };
}

export function remoteSource(remote: RemoteRepository, reference: string): ImageSource {
  const name = `${remote.host}/${remote.name} ${reference}`;
  return {
    name,
    root: async (signal) => (await remote.readManifest(reference, signal)) ?? missing(name),
    manifest: (digest, signal) => remote.readManifest(digest, signal),
    openBlob: (blob, start, signal) => readRemoteBlob(remote, blob, start, signal),
  };
}

/** The one image of a layout, or the one with that `org.opencontainers.image.ref.name`. */
export function layoutSource(directory: string, refName?: string): ImageSource {
  const pathOf = (digest: OciDigest): string =>
    join(directory, 'blobs', digestAlgorithm(digest), digestHex(digest));
  const read = async (digest: OciDigest, mediaType: string): Promise<RemoteManifest> => {
    const content = await readFile(pathOf(digest));
    const actual = digestOf(content, digestAlgorithm(digest));
    if (actual !== digest) throw new KilnError('hash-mismatch', `${pathOf(digest)} has the digest ${actual}`);
    return { digest, mediaType, content };
  };
  return {
    name: directory,
    async root() {
      const { manifests } = await readLayoutIndex(directory);
      const found = manifests.filter(
        (entry) =>
          refName === undefined || entry.annotations?.['org.opencontainers.image.ref.name'] === refName,
      );
      const [entry] = found;
      if (entry === undefined || found.length > 1 || !isDigest(entry.digest)) {
        throw new KilnError('not-found', `${directory} holds ${found.length} images of that name`, {
          hint: 'Name one of the images in its index.json.',
        });
      }
      return await read(entry.digest, entry.mediaType);
    },
    async manifest(digest) {
      return await read(digest, '').catch(() => undefined);
    },
    openBlob: (blob, start, signal) =>
      createReadStream(pathOf(blob.digest), {
        start,
        highWaterMark: 256 * 1024,
        ...(signal === undefined ? {} : { signal }),
      }) as AsyncIterable<Buffer>,
  };
}

const layoutIndexSchema = z.looseObject({
  manifests: z.array(
    z.looseObject({
      mediaType: z.string(),
      digest: z.string(),
      size: z.number(),
      annotations: z.record(z.string(), z.string()).optional(),
    }),
  ),
});
export type LayoutIndex = z.infer<typeof layoutIndexSchema>;

/** @throws KilnError not-found, invalid-input */
async function readLayoutIndex(directory: string): Promise<LayoutIndex> {
  const text = await readFile(join(directory, 'index.json'), 'utf8').catch((cause: unknown) => {
    throw new KilnError('not-found', `${directory} is no OCI layout: it has no index.json`, { cause });
  });
  const parsed = layoutIndexSchema.safeParse(JSON.parse(text));
  if (parsed.success) return parsed.data;
  throw new KilnError('invalid-input', `${directory}/index.json is not an image index`);
}

/** One request; a stream that breaks is a passing error, so that whoever reads can go on from where it broke. */
export async function* readRemoteBlob(
  remote: RemoteRepository,
  blob: Descriptor,
  start: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer> {
  if (start >= blob.size) return;
  const answer = await remote.request({
    method: 'GET',
    target: `blobs/${blob.digest}`,
    ...(start === 0 ? {} : { headers: { range: `bytes=${start}-` } }),
    expect: [200, 206],
    ...(signal === undefined ? {} : { signal }),
  });
  let skip = answer.status === 206 ? 0 : start;
  let received = answer.status === 206 ? start : 0;
  try {
    for await (const chunk of answer.body as AsyncIterable<Buffer>) {
      received += chunk.length;
      if (skip >= chunk.length) {
        skip -= chunk.length;
        continue;
      }
      yield skip === 0 ? chunk : chunk.subarray(skip);
      skip = 0;
    }
  } catch (error) {
    throw connectionFailure(error, answer.url, signal);
  } finally {
    answer.body.destroy();
  }
  if (received < blob.size) {
    throw passing(
      new KilnError(
        'unreachable',
        `${answer.url.host} ended the blob after ${received} of ${blob.size} bytes`,
      ),
    );
  }
}

function missing(what: string): never {
  throw new KilnError('not-found', `There is no ${what}`);
}
