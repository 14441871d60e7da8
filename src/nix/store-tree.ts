/** File trees on disk as NAR nodes: what `nix-store --dump` would write, as a stream. */
import { constants } from 'node:fs';
import { lstat, open, readdir, readlink } from 'node:fs/promises';
import { KilnError } from '../base/error.ts';
import { type NarNode, writeNar } from '../store/nar-writer.ts';

/** Bytes per read. */
const READ_BYTES = 256 * 1024;

/** The NAR of a file, folder or link. @throws KilnError not-found, invalid-input (a socket, a file that changed) */
export async function* dumpPath(
  path: string,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of writeNar(await narNodeOf(Buffer.from(path)))) {
    if (signal?.aborted === true) throw new KilnError('cancelled', `Reading ${path} was cancelled`);
    yield chunk;
  }
}

/** @param path as bytes, since names on disk need not be UTF-8; a link is not followed */
async function narNodeOf(path: Buffer): Promise<NarNode> {
  const stat = await lstat(path).catch((cause: unknown) => {
    throw new KilnError('not-found', `${path.toString()} cannot be read`, { cause });
  });
  if (stat.isSymbolicLink()) return { type: 'symlink', target: await readlink(path, { encoding: 'buffer' }) };
  if (stat.isDirectory()) {
    return {
      type: 'directory',
      entries: async () => {
        const names = await readdir(path, { encoding: 'buffer' });
        return names.map((name) => ({ name, node: async () => await narNodeOf(joinBytes(path, name)) }));
      },
    };
  }
  if (!stat.isFile()) {
    throw new KilnError(
      'invalid-input',
      `${path.toString()} is no file, folder or link; a NAR holds nothing else`,
    );
  }
  const executable = (stat.mode & constants.S_IXUSR) !== 0;
  return { type: 'regular', executable, size: stat.size, contents: () => readContents(path, stat.size) };
}

async function* readContents(path: Buffer, size: number): AsyncGenerator<Uint8Array, void, undefined> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  // One byte more than expected shows that the file grew.
  const length = Math.min(READ_BYTES, size + 1);
  for (;;) {
    // A fresh buffer each time: the consumer may hold on to what it was given.
    const buffer = Buffer.allocUnsafe(length);
    const { bytesRead } = await file.read(buffer, 0, length);
    if (bytesRead === 0) return;
    yield buffer.subarray(0, bytesRead);
  }
}

function joinBytes(folder: Buffer, name: Buffer): Buffer {
  return Buffer.concat([folder, Buffer.from('/'), name]);
}
