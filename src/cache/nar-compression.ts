/** The compressions that uploads may have, and how they are undone. */
import { type Readable, type Transform, pipeline } from 'node:stream';
import { createBrotliDecompress, createGunzip, createZstdDecompress, constants } from 'node:zlib';
import { KilnError } from '../base/error.ts';
import { streamProcess } from '../process/stream-process.ts';
import type { NarExtension } from './cache-path.ts';
import { findDecoder } from './find-decoder.ts';

const EXTENSIONS: Readonly<Record<string, NarExtension>> = {
  none: '',
  xz: 'xz',
  zstd: 'zst',
  bzip2: 'bz2',
  gzip: 'gz',
  br: 'br',
};

/** Memory of one decoder; what Nix writes needs far less. */
const XZ_MEMORY = '256MiB';
const ZSTD_WINDOW_LOG = 27;

/** Ending of a NAR's file name; undefined for a compression that is not taken. */
export function extensionOf(compression: string): NarExtension | undefined {
  return Object.hasOwn(EXTENSIONS, compression) ? EXTENSIONS[compression] : undefined;
}

/**
 * The decompressed chunks of `source`. Stop iterating and everything behind it ends, the external decoder included.
 * @throws KilnError invalid-input (not such a file), tool-missing (xz or bzip2 are not installed)
 */
export async function* decompress(source: Readable, compression: string): AsyncGenerator<Buffer> {
  if (compression === 'none') return yield* source as AsyncIterable<Buffer>;
  const decoder = createDecoder(compression);
  if (decoder === undefined) return yield* decompressOutside(source, compression);
  // Failures come out of the decoder; without a callback they would end the process.
  pipeline(source, decoder, () => undefined);
  try {
    yield* decoder as AsyncIterable<Buffer>;
  } catch (cause) {
    throw notCompressed(compression, cause);
  } finally {
    source.destroy();
  }
}

async function* decompressOutside(source: Readable, compression: string): AsyncGenerator<Buffer> {
  const name = Object.hasOwn(ARGUMENTS, compression) ? compression : undefined;
  if (name === undefined) throw unknownCompression(compression);
  const program = await findDecoder(name);
  using child = streamProcess(program, ARGUMENTS[name] ?? [], process.env);
  pipeline(source, child.input, () => undefined);
  try {
    yield* child.output as AsyncIterable<Buffer>;
    if ((await child.exitCode) !== 0) throw notCompressed(compression);
  } finally {
    source.destroy();
  }
}

function notCompressed(compression: string, cause?: unknown): KilnError {
  return new KilnError('invalid-input', `The file is not ${compression} data`, { cause });
}

export function unknownCompression(compression: string): KilnError {
  return new KilnError('invalid-input', `The compression "${compression.slice(0, 40)}" is not taken here`, {
    hint: `Use one of ${Object.keys(EXTENSIONS).join(', ')}.`,
  });
}

/** Programs, called like their compressions. */
const ARGUMENTS: Readonly<Record<string, readonly string[]>> = {
  xz: ['--decompress', '--stdout', '--threads=1', `--memlimit-decompress=${XZ_MEMORY}`],
  bzip2: ['--decompress', '--stdout'],
};

function createDecoder(compression: string): Transform | undefined {
  if (compression === 'zstd')
    return createZstdDecompress({
      params: { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG },
      chunkSize: 128 * 1024,
    });
  if (compression === 'gzip') return createGunzip();
  return compression === 'br' ? createBrotliDecompress() : undefined;
}
