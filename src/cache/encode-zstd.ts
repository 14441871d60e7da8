/** zstd on the way to the client (`Content-Encoding`), off the main thread and bounded. */
import { pipeline, Readable } from 'node:stream';
import { constants, createZstdCompress } from 'node:zlib';

/** Encoders at the same time; further answers go out as they are. */
const MAX_ENCODERS = 16;
/** The fastest level: the next ones halve the speed for a few per cent. */
const LEVEL = 1;

let running = 0;

/** Whether the client takes zstd (RFC 9110 section 12.5.3) and an encoder is free. */
export function canEncode(acceptEncoding: string | string[] | undefined): boolean {
  if (running >= MAX_ENCODERS) return false;
  const offers = String(acceptEncoding ?? '').split(',');
  return offers.some((offer) => /^\s*zstd\s*(?:;\s*q=(?!0(?:\.0*)?\s*$).*)?$/i.test(offer));
}

/** @param size bytes that `source` gives; written into the frame, so that a decoder knows */
export async function* encodeZstd(source: AsyncIterable<Buffer>, size: number): AsyncGenerator<Buffer> {
  running++;
  try {
    const encoder = createZstdCompress({
      params: { [constants.ZSTD_c_compressionLevel]: LEVEL },
      pledgedSrcSize: size,
      chunkSize: 128 * 1024,
    });
    const input = Readable.from(source, { objectMode: false, highWaterMark: 256 * 1024 });
    // A failure of the source destroys the encoder, which fails the loop below.
    pipeline(input, encoder, () => undefined);
    yield* encoder as AsyncIterable<Buffer>;
  } finally {
    running--;
  }
}
