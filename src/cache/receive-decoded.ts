/** Small bodies of uploads, whose `Content-Encoding` is undone. */
import { Readable } from 'node:stream';
import { KilnError } from '../base/error.ts';
import { receiveWhole } from '../http/receive-bytes.ts';
import type { CacheCall } from './cache-context.ts';
import { decompress, unknownCompression } from './nar-compression.ts';

const ENCODINGS: Readonly<Record<string, string>> = {
  identity: 'none',
  zstd: 'zstd',
  gzip: 'gzip',
  br: 'br',
  xz: 'xz',
  bzip2: 'bzip2',
};

/** @param maxBytes of the body, and of what it decodes to. @throws KilnError too-large, invalid-input */
export async function receiveDecoded(call: CacheCall, maxBytes: number): Promise<Buffer> {
  const { request, context } = call;
  const encoding = request.headers['content-encoding'] ?? 'identity';
  const compression = ENCODINGS[encoding.toLowerCase()];
  if (compression === undefined) throw unknownCompression(encoding);
  const body = await receiveWhole(request.raw, maxBytes, context.settings.speedLimit);
  if (compression === 'none') return body;
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of decompress(Readable.from([body], { objectMode: false }), compression)) {
    size += chunk.length;
    if (size > maxBytes)
      throw new KilnError(
        'too-large',
        `The body decodes to more than the ${maxBytes} bytes that are allowed`,
      );
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
