/** Reads files of a source tree without ever leaving it. */
import { readFile, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { KilnError } from '../../base/error.ts';

/** What recognition and templates may ask of a tree. Paths are relative, with `/`. */
export interface TreeReader {
  readonly directory: string;
  readonly paths: readonly string[];
  has(name: string): boolean;
  /** True where some file lies below the folder. */
  hasFolder(name: string): boolean;
  /** The text of a file, or undefined where there is none. @throws KilnError too-large */
  read(name: string): Promise<string | undefined>;
}

/** Manifests and locks are smaller; a bigger file is not read into memory. */
const MAX_TEXT = 64 * 2 ** 20;

/** A reader for the tree's folder `base` (`''` is its root). A link is followed only to a file inside the tree. */
export function treeReader(treeDirectory: string, allPaths: readonly string[], base = ''): TreeReader {
  const prefix = base === '' ? '' : `${base}/`;
  const paths = allPaths.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length));
  const known = new Set(paths);
  const directory = path.join(treeDirectory, base);
  return {
    directory,
    paths,
    has: (name) => known.has(name),
    hasFolder: (name) => paths.some((other) => other.startsWith(`${name}/`)),
    async read(name) {
      if (!known.has(name)) return undefined;
      const root = await realpath(treeDirectory);
      const file = await realpath(path.join(directory, name)).catch(() => undefined);
      if (file === undefined || !file.startsWith(`${root}/`)) return undefined;
      const info = await stat(file);
      if (!info.isFile()) return undefined;
      if (info.size > MAX_TEXT)
        throw new KilnError('too-large', `${name} is larger than 64 MiB`, { where: name });
      return (await readFile(file, 'utf8')).replace(/^\uFEFF/, '');
    },
  };
}
