/** `nix-cache-info`, narinfo and listings: GET and HEAD. */
import type { FastifyReply } from 'fastify';
import { KilnError } from '../base/error.ts';
import { sendBytes } from '../http/send-bytes.ts';
import { formatNarInfo } from '../store/narinfo.ts';
import { encodeNix32 } from '../store/nix32.ts';
import { STORE_DIR } from '../store/store-path.ts';
import type { CacheCall, CacheContext } from './cache-context.ts';
import { extensionOf } from './nar-compression.ts';
import type { UploadedPath } from './uploaded-path-queries.ts';

/** Clients remember a narinfo for a month whatever this says; it is for proxies, which must not outlive a clean-up by much. */
const NARINFO_AGE = 'max-age=3600';

export function sendCacheInfo({ context, reply }: CacheCall): FastifyReply {
  return reply
    .header('content-type', 'text/x-nix-cache-info')
    .send(`StoreDir: ${STORE_DIR}\nWantMassQuery: 1\nPriority: ${context.settings.priority}\n`);
}

/** The store's own paths first: their bytes need no file of ours. */
export async function sendNarInfo(call: CacheCall, hashPart: string): Promise<FastifyReply> {
  const { context, reply } = call;
  const text = (await context.store.find(hashPart))?.narInfo ?? (await uploadedNarInfo(context, hashPart));
  if (text === undefined) throw missing();
  return reply.header('content-type', 'text/x-nix-narinfo').header('cache-control', NARINFO_AGE).send(text);
}

export async function sendListing(call: CacheCall, hashPart: string): Promise<FastifyReply> {
  const { context, request, reply } = call;
  reply.header('content-type', 'application/json').header('cache-control', NARINFO_AGE);
  const entry = await context.store.find(hashPart);
  if (entry === undefined) {
    const uploaded = await context.uploaded.find(hashPart);
    const listing = uploaded === undefined ? undefined : await context.uploaded.listing(uploaded);
    if (listing === undefined) throw missing();
    return reply.send(listing);
  }
  await using stream = await context.reader.openListing(entry.info.path);
  if (request.method === 'HEAD') return reply.header('content-length', stream.size).send();
  await sendBytes(reply, { status: 200, headers: {}, length: stream.size, open: () => stream });
  return reply;
}

/** Nothing about what is asked for: whoever asks knows it, and others learn nothing. */
export function missing(): KilnError {
  return new KilnError('not-found', 'It is not in this cache');
}

async function uploadedNarInfo(context: CacheContext, hashPart: string): Promise<string | undefined> {
  const path = await context.uploaded.find(hashPart);
  if (path === undefined) return undefined;
  return formatNarInfo({
    path: path.path,
    url: fileUrl(path),
    compression: path.compression,
    fileHash: { algorithm: 'sha256', bytes: Buffer.from(path.fileHash, 'hex') },
    fileSize: path.fileSize,
    narHash: path.narHash,
    narSize: path.narSize,
    references: path.references,
    ...(path.deriver === undefined ? {} : { deriver: path.deriver }),
    signatures: await context.store.sign(path),
    ...(path.ca === undefined ? {} : { ca: path.ca }),
  });
}

function fileUrl(path: UploadedPath): string {
  const extension = extensionOf(path.compression) ?? '';
  const name = encodeNix32(Buffer.from(path.fileHash, 'hex'));
  return `nar/${name}.nar${extension === '' ? '' : `.${extension}`}`;
}
