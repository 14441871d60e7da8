/** Writes an exported image to a file, to standard output, or as an OCI layout into a folder. */
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { extract } from 'tar-stream';
import { KilnError } from '../base/error.ts';

/** @returns bytes written; the file appears whole or not at all */
export async function writeArchive(
  archive: AsyncIterable<Uint8Array>,
  file: string,
  signal: AbortSignal,
): Promise<number> {
  if (file === '-') {
    let bytes = 0;
    for await (const chunk of archive) {
      bytes += chunk.length;
      if (!process.stdout.write(chunk)) await new Promise((resolve) => process.stdout.once('drain', resolve));
    }
    return bytes;
  }
  const draft = `${file}.part`;
  try {
    const bytes = await writeFile(archive, draft, signal);
    await rename(draft, file);
    return bytes;
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

/** The archive's blobs are checked against their names once more, so that a broken transfer leaves nothing that looks whole. */
export async function writeLayout(
  archive: AsyncIterable<Uint8Array>,
  directory: string,
  signal: AbortSignal,
): Promise<number> {
  const reader = extract();
  let bytes = 0;
  const unpacking = (async () => {
    for await (const entry of reader) {
      const { name, type } = entry.header;
      if (type !== 'file' || !MEMBER.test(name)) {
        entry.resume();
        continue;
      }
      const path = join(directory, name);
      await mkdir(dirname(path), { recursive: true });
      const hash = createHash('sha256');
      const content = async function* (): AsyncGenerator<Uint8Array> {
        for await (const chunk of entry as AsyncIterable<Buffer>) {
          hash.update(chunk);
          yield chunk;
        }
      };
      bytes += await writeFile(content(), `${path}.part`, signal);
      const hex = /^blobs\/sha256\/(.*)$/.exec(name)?.[1];
      if (hex !== undefined && hash.digest('hex') !== hex) {
        await rm(`${path}.part`, { force: true });
        throw new KilnError('hash-mismatch', `the blob ${hex} arrived with other bytes`);
      }
      await rename(`${path}.part`, path);
    }
  })();
  try {
    await Promise.all([pipeline(Readable.from(archive), reader, { signal }), unpacking]);
  } catch (error) {
    reader.destroy();
    await unpacking.catch(() => undefined);
    throw error;
  }
  return bytes;
}

/** What an OCI layout consists of; `manifest.json` is Docker's. */
const MEMBER = /^(?:oci-layout|index\.json|blobs\/[a-z0-9]+\/[0-9a-f]+)$/;

async function writeFile(
  content: AsyncIterable<Uint8Array>,
  path: string,
  signal: AbortSignal,
): Promise<number> {
  const file = createWriteStream(path);
  await pipeline(Readable.from(content), file, { signal });
  return file.bytesWritten;
}
