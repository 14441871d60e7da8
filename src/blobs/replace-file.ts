/** Writes a small file whole: a reader sees the old content or the new one, also after a crash or beside another writer. */
import { randomUUID } from 'node:crypto';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Makes the folder where there is none (readable by its owner alone with `folderMode` 0o700). */
export async function replaceFile(
  file: string,
  content: string | Uint8Array,
  options: { readonly folderMode?: number } = {},
): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: options.folderMode });
  const temporary = `${file}.${randomUUID()}`;
  try {
    await writeFile(temporary, content);
    await rename(temporary, file);
  } finally {
    await rm(temporary, { force: true });
  }
}
