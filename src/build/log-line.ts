/** One line of a build's log, and how lines are kept: zstd frames of JSON arrays, one per line of text. */
import { promisify } from 'node:util';
import { constants, zstdCompress, zstdDecompress } from 'node:zlib';

export interface LogLine {
  /** 1, 2, 3 … within the attempt; a gap means that lines were left out. */
  readonly sequence: number;
  /** Milliseconds since the Unix epoch. */
  readonly at: number;
  /** `kiln` is what Kiln itself says about the build. */
  readonly stream: LogStream;
  readonly step?: string;
  /** Store path of the derivation whose builder printed it. */
  readonly derivation?: string;
  readonly text: string;
}

export type LogStream = 'stdout' | 'stderr' | 'kiln';

type StoredLine = readonly [
  sequence: number,
  at: number,
  stream: LogStream,
  step: string,
  derivation: string,
  text: string,
];

const compress = promisify(zstdCompress);
const decompress = promisify(zstdDecompress);

/** A frame is decompressed on demand for whoever reads logs: no frame may blow up beyond what the writer puts in one. */
const MAX_FRAME = 16 * 2 ** 20;

export async function encodeFrame(lines: readonly LogLine[]): Promise<Buffer> {
  const stored = lines.map((line): StoredLine => [
    line.sequence,
    line.at,
    line.stream,
    line.step ?? '',
    line.derivation ?? '',
    line.text,
  ]);
  const text = stored.map((line) => JSON.stringify(line)).join('\n');
  return await compress(text, { params: { [constants.ZSTD_c_compressionLevel]: 3 } });
}

export async function decodeFrame(frame: Uint8Array): Promise<LogLine[]> {
  const text = (await decompress(frame, { maxOutputLength: MAX_FRAME })).toString('utf8');
  return text.split('\n').map((line) => {
    const [sequence, at, stream, step, derivation, content] = JSON.parse(line) as StoredLine;
    return {
      sequence,
      at,
      stream,
      ...(step === '' ? {} : { step }),
      ...(derivation === '' ? {} : { derivation }),
      text: content,
    };
  });
}

/** What a line counts against the size limit: its text and some bytes for the rest. */
export function lineBytes(text: string): number {
  return Buffer.byteLength(text) + 16;
}
