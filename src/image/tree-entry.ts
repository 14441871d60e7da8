/** Archive headers of the files of a store path. */
import { filePattern } from '../oci/file-pattern.ts';
import type { StoreEntry } from '../oci/layer-recipe.ts';
import { byteString } from '../oci/recipe-parts.ts';
import type { TarEntry } from '../oci/tar-header.ts';
import type { TreeNode } from './walk-store-path.ts';

export type EntryOf = (node: Omit<TreeNode, 'parentLength'>) => TarEntry;

/** @param mtime of every file that `attributes` do not name */
export function treeEntries(entry: Pick<StoreEntry, 'path' | 'attributes'>, mtime: number): EntryOf {
  const { attributes = [] } = entry;
  if (attributes.length === 0) return (node) => plainEntry(node, mtime);
  const compiled = attributes.map(({ pattern, ...wanted }) => ({
    expression: filePattern(byteString(pattern)),
    ...wanted,
  }));
  const rootLength = entry.path.length; // without the leading slash, with the one behind
  return (node) => {
    const found = plainEntry(node, mtime);
    const path = node.name.slice(rootLength).replace(/\/$/, '') || '.';
    let { mode } = found;
    let time = mtime;
    for (const wanted of compiled) {
      if (!wanted.expression.test(path)) continue;
      time = wanted.mtime ?? time;
      if (node.kind !== 'symlink') mode = wanted.mode ?? mode;
    }
    return { ...found, mode, mtime: time };
  };
}

/** Modes follow from the NAR's executable bit, never from the machine. */
function plainEntry(node: Omit<TreeNode, 'parentLength'>, mtime: number): TarEntry {
  const mode = node.kind === 'symlink' ? 0o777 : node.kind === 'directory' || node.executable ? 0o555 : 0o444;
  return {
    kind: node.kind,
    name: node.name,
    target: node.target,
    mode,
    uid: 0,
    gid: 0,
    size: node.size,
    mtime,
  };
}
