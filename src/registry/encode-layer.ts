/**
 * Compresses layers so that the same tar gives the same bytes, whatever the sizes of the chunks it comes in.
 * zstd's output depends on the sizes of the writes; gzip's on nothing but the library's version.
 */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream';
import zlib from 'node:zlib';

export type LayerCodec = 'gzip' | 'zstd';

const WRITE_SIZE = 2 ** 20;

/** Names everything that decides the bytes besides the input. */
export function encoderId(codec: LayerCodec): string {
  return codec === 'gzip'
    ? `gzip-6/zlib-${process.versions.zlib}`
    : `zstd-3/zstd-${process.versions['zstd'] ?? 'none'}`;
}

/** The compressed bytes. Work happens in the thread pool: several layers at once use several cores. */
export async function* encodeLayer(source: AsyncIterable<Buffer>, codec: LayerCodec): AsyncGenerator<Buffer> {
  const encoder =
    codec === 'gzip'
      ? zlib.createGzip({ level: 6, chunkSize: 256 * 1024 })
      : zlib.createZstdCompress({
          chunkSize: 256 * 1024,
          params: {
            [zlib.constants.ZSTD_c_compressionLevel]: 3,
            [zlib.constants.ZSTD_c_checksumFlag]: 1,
            [zlib.constants.ZSTD_c_nbWorkers]: 0,
          },
        });
  let failure: unknown;
  pipeline(Readable.from(rechunk(source), { objectMode: true, highWaterMark: 1 }), encoder, (error) => {
    failure = error ?? undefined;
  });
  try {
    yield* encoder as AsyncIterable<Buffer>;
  } catch (error) {
    throw failure ?? error;
  } finally {
    encoder.destroy();
  }
}

/** The same bytes in pieces of exactly 1 MiB, the last one shorter. */
async function* rechunk(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let pending: Buffer[] = [];
  let size = 0;
  for await (let chunk of source) {
    while (size + chunk.length >= WRITE_SIZE) {
      const rest = WRITE_SIZE - size;
      yield Buffer.concat([...pending, chunk.subarray(0, rest)], WRITE_SIZE);
      chunk = chunk.subarray(rest);
      pending = [];
      size = 0;
    }
    if (chunk.length > 0) pending.push(chunk);
    size += chunk.length;
  }
  if (size > 0) yield Buffer.concat(pending, size);
}
