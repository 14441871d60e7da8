/** The identity of a source tree: SHA-256 over names, modes and contents. */
import { createHash } from 'node:crypto';

export interface TreeEntry {
  /** Relative, with `/`. */
  readonly path: string;
  readonly mode: 'file' | 'executable' | 'link';
  /** SHA-256 (hex) of the file's bytes, or of the link's target. */
  readonly sha256: string;
  readonly size: number;
}

/** The same for the same tree on every machine; `entries` must be sorted by path bytes. Empty folders do not count. */
export function treeHash(entries: readonly TreeEntry[]): string {
  const hash = createHash('sha256').update('kiln-tree/1\0');
  for (const entry of entries) hash.update(`${entry.mode}\0${entry.path}\0${entry.sha256}\0`);
  return hash.digest('hex');
}
