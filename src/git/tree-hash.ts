/** Names the content of a folder, whether it came from git or not. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { KilnError } from '../base/error.ts';

/**
 * SHA-256 (hex) over names, kinds, executable bits and contents of everything below `directory` except folders and files named `.git`:
 * what Nix keeps of a folder, so equal hashes mean equal sources.
 * @throws KilnError invalid-input for sockets, devices and pipes, which no source can hold
 */
export async function treeHash(directory: string, signal?: AbortSignal): Promise<string> {
  return (await hashFolder(Buffer.from(directory), signal)).toString('hex');
}

async function hashFolder(folder: Buffer, signal?: AbortSignal): Promise<Buffer> {
  signal?.throwIfAborted();
  const names = (await readdir(folder, { encoding: 'buffer' }))
    .filter((name) => name.toString('latin1') !== '.git')
    .sort(Buffer.compare);
  const hash = createHash('sha256').update('folder\0');
  for (const name of names) {
    const [kind, content] = await hashEntry(Buffer.concat([folder, Buffer.from('/'), name]), signal);
    // Lengths are fixed or delimited by a byte that names cannot hold, so no two trees give the same text.
    hash.update(name).update('\0').update(kind).update('\0').update(content);
  }
  return hash.digest();
}

async function hashEntry(
  path: Buffer,
  signal?: AbortSignal,
): Promise<readonly [kind: string, content: Buffer]> {
  const status = await lstat(path);
  if (status.isDirectory()) return ['folder', await hashFolder(path, signal)];
  if (status.isSymbolicLink()) {
    return [
      'link',
      createHash('sha256')
        .update(await readlink(path, { encoding: 'buffer' }))
        .digest(),
    ];
  }
  if (!status.isFile()) {
    throw new KilnError('invalid-input', 'A source can hold only files, folders and symbolic links', {
      where: join(path.toString()),
    });
  }
  const hash = createHash('sha256');
  await pipeline(createReadStream(path, { signal }), hash);
  return [(status.mode & 0o100) === 0 ? 'file' : 'program', hash.digest()];
}
