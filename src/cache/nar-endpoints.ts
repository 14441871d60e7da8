/** NARs, made from the store while they are sent or read from uploaded files: whole, in part, or encoded. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { ByteSpan } from '../base/byte-span.ts';
import { isKilnError } from '../base/error.ts';
import { formatContentRange, parseByteRange } from '../http/byte-range.ts';
import { sendBytes } from '../http/send-bytes.ts';
import type { PathInfo } from '../store/closure.ts';
import { decodeNix32 } from '../store/nix32.ts';
import type { CacheCall } from './cache-context.ts';
import type { NarExtension } from './cache-path.ts';
import { canEncode, encodeZstd } from './encode-zstd.ts';
import { extensionOf } from './nar-compression.ts';
import { missing } from './read-endpoints.ts';
import { digestOfFile } from './uploaded-paths.ts';

const IMMUTABLE = 'max-age=31536000, immutable';
const NAR_TYPE = 'application/x-nix-nar';
/** What the reader has in memory before the first byte is sent: nothing of it can be collected any more. */
const READ_AT_ONCE = 2 ** 20;
/** Below this the frame of an encoding is not worth it. */
const MIN_ENCODED = 4096;
/** Milliseconds that a client may leave one chunk unread: it may be writing to a slow disk. */
const STALL_MS = 300_000;

interface NarBody {
  readonly etag: string;
  readonly size: number;
  readonly open: (span: ByteSpan, signal: AbortSignal) => AsyncIterable<Buffer>;
  readonly encodable: boolean;
}

/** @param narHash bare nix32; when the path has another one by now, these bytes are gone */
export async function sendStoreNar(
  call: CacheCall,
  hashPart: string,
  narHash: string,
): Promise<FastifyReply> {
  const { context } = call;
  const entry = await context.store.find(hashPart);
  if (entry === undefined || entry.info.narHash !== `sha256:${narHash}`) throw missing();
  const { info } = entry;
  return await sendNar(call, {
    etag: narHash,
    size: info.narSize,
    open: (span, signal) => readStoreNar(call, info, span, signal),
    encodable: info.narSize >= MIN_ENCODED,
  });
}

/** An uploaded file. Before its path is complete only those may see it who may upload: it tells them what to leave out. */
export async function sendFile(
  call: CacheCall,
  fileHash: string,
  extension: NarExtension,
): Promise<FastifyReply> {
  const { uploaded, guard } = call.context;
  const hex = Buffer.from(decodeNix32(fileHash, 32)).toString('hex');
  const digest = digestOfFile(hex);
  const size = await uploaded.files.size(digest);
  if (size === undefined) throw missing();
  const path = await uploaded.findByFile(hex);
  if (
    path === undefined ? !(await guard.mayWrite(call.request)) : extensionOf(path.compression) !== extension
  )
    throw missing();
  return await sendNar(call, {
    etag: fileHash,
    size,
    open: (span, signal) => uploaded.files.read(digest, { ...span, signal }),
    encodable: false,
  });
}

async function sendNar(call: CacheCall, nar: NarBody): Promise<FastifyReply> {
  const { request, reply } = call;
  const { size } = nar;
  const encode = nar.encodable && shouldEncode(call);
  const etag = encode ? `"${nar.etag}-zstd"` : `"${nar.etag}"`;
  const headers: Record<string, string> = {
    'content-type': NAR_TYPE,
    'cache-control': IMMUTABLE,
    etag,
    ...(nar.encodable ? { vary: 'accept-encoding' } : {}),
    // What is encoded on the way cannot be resumed, and clients take the header for a promise.
    ...(encode ? { 'content-encoding': 'zstd' } : { 'accept-ranges': 'bytes' }),
  };
  if (request.headers['if-none-match'] === etag) return reply.status(304).headers(headers).send();
  if (request.method === 'HEAD') {
    if (!encode) reply.header('content-length', size);
    return reply.headers(headers).send();
  }
  const span = encode ? undefined : parseByteRange(rangeHeader(request, etag), size);
  const { start, end } = span ?? { start: 0, end: size };
  await sendBytes(reply, {
    status: span === undefined ? 200 : 206,
    headers: span === undefined ? headers : { ...headers, 'content-range': formatContentRange(span, size) },
    ...(encode ? {} : { length: end - start }),
    open: (signal) => {
      const bytes = nar.open({ start, end }, signal);
      return encode ? encodeZstd(bytes, size) : bytes;
    },
    stallMs: STALL_MS,
  });
  return reply;
}

/** @throws KilnError not-found before the first byte: the client then builds, or asks another cache */
async function* readStoreNar(
  call: CacheCall,
  info: PathInfo,
  span: ByteSpan,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const { context, request } = call;
  using root = span.end - span.start > READ_AT_ONCE ? await context.temporaryRoots.hold(info.path) : NO_ROOT;
  if (root === undefined) throw missing();
  try {
    yield* await context.reader.openNar(info, { ...span, signal });
  } catch (error) {
    if (!isKilnError(error) || !error.code.startsWith('store-path-')) throw error;
    request.log.error({ err: error }, 'a path of the store cannot be served');
    throw missing();
  }
}

const NO_ROOT: Disposable = { [Symbol.dispose]: () => undefined };

function shouldEncode({ context, request }: CacheCall): boolean {
  const { transferEncoding } = context.settings;
  if (transferEncoding === 'never' || request.headers.range !== undefined) return false;
  // On this machine the network is faster than any encoder.
  const near = transferEncoding === 'auto' && /^(?:127\.|::1$)/.test(context.guard.clientOf(request));
  return !near && canEncode(request.headers['accept-encoding']);
}

function rangeHeader(request: FastifyRequest, etag: string): string | undefined {
  const condition = request.headers['if-range'];
  return condition === undefined || condition === etag ? request.headers.range : undefined;
}
