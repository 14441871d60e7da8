/** Walks the file tree of a store path in the order and with the meaning that its NAR and its tar give it. */
import { lstatSync, type PathLike, readdirSync, readlinkSync } from 'node:fs';
import { KilnError, systemErrorCode } from '../base/error.ts';
import type { TarEntry } from '../oci/tar-header.ts';
import { lstatIfThere } from './lstat-if-there.ts';

/** Where the store of this machine lies; a prefix before `/nix/store`, empty for the real one. */
export interface StoreLocation {
  readonly physicalRoot: string;
  /**
   * Nix sets every modification time to 1 when it registers a path, so another one means that somebody wrote to the
   * store. False where the tree was not registered by Nix.
   */
  readonly registeredTimes: boolean;
}

export const REAL_STORE: StoreLocation = { physicalRoot: '', registeredTimes: true };

/** One file of a tree. `name` and `target` are byte strings (see `oci/tar-header.ts`). */
export interface TreeNode {
  readonly kind: TarEntry['kind'];
  /** Name in the archive; a directory ends in `/`. */
  readonly name: string;
  /** Length of the part of the name that is its directory's. */
  readonly parentLength: number;
  readonly target: string;
  readonly executable: boolean;
  readonly size: number;
}

/** Length of `nix/store/`, the directory of every store path. */
const ROOT_LENGTH = 'nix/store/'.length;

/** Turns a byte string into what `node:fs` takes. */
export function fsPath(bytes: string): PathLike {
  // oxlint-disable-next-line no-control-regex -- the ASCII range is what is meant
  return /^[\x01-\x7f]*$/.test(bytes) ? bytes : Buffer.from(bytes, 'latin1');
}

/**
 * Yields the nodes of `storePath`, parents before children, sorted by the bytes of their archive names. Synchronous: run it
 * in a worker. @throws KilnError store-path-missing, store-path-changed
 */
export function* walkStorePath(storePath: string, location: StoreLocation): Generator<TreeNode, void, void> {
  const physical = location.physicalRoot + storePath;
  const stat = lstatIfThere(physical);
  if (stat === undefined) throw missingPath(storePath);
  const name = storePath.slice(1);
  try {
    if (stat.isDirectory()) {
      yield directoryNode(`${name}/`, ROOT_LENGTH);
      yield* walkDirectory(`${physical}/`, `${name}/`, location);
    } else if (stat.isSymbolicLink()) yield linkNode(physical, name, ROOT_LENGTH);
    else yield fileNode(physical, name, ROOT_LENGTH, location);
  } catch (error) {
    throw changedPath(storePath, error);
  }
}

/** What a failed file operation means for the path that was being read; an error that means something else stays as it is. */
export function changedPath(storePath: string, error: unknown): unknown {
  const code = systemErrorCode(error);
  if (code !== 'ENOENT' && code !== 'ENOTDIR' && code !== 'EINVAL') return error;
  return new KilnError('store-path-changed', `${storePath} changed while it was read`, {
    where: storePath,
    cause: error,
  });
}

export function missingPath(storePath: string): KilnError {
  return new KilnError('store-path-missing', `${storePath} is no longer in the store`, {
    where: storePath,
    hint: 'Build the image again; a path that an image needs is protected while the image exists.',
  });
}

export function changedFile(name: string, what: string): KilnError {
  return new KilnError('store-path-changed', `/${Buffer.from(name, 'latin1').toString()} ${what}`, {
    where: `/${name.split('/').slice(0, 3).join('/')}`,
    hint: 'Run nix-store --verify --check-contents --repair, then build again.',
  });
}

function* walkDirectory(
  physical: string,
  prefix: string,
  location: StoreLocation,
): Generator<TreeNode, void, void> {
  const members = readdirSync(fsPath(physical), { withFileTypes: true, encoding: 'latin1' });
  const sorted = members.map((member) => (member.isDirectory() ? `${member.name}/` : member.name));
  const links = new Set<string>();
  for (const member of members) if (member.isSymbolicLink()) links.add(member.name);
  // Strings of bytes compare like the bytes; the slash of directories is part of the name in the archive.
  sorted.sort((a, b) => (a < b ? -1 : 1));
  for (const member of sorted) {
    const name = prefix + member;
    if (member.endsWith('/')) {
      yield directoryNode(name, prefix.length);
      yield* walkDirectory(physical + member, name, location);
    } else if (links.has(member)) yield linkNode(physical + member, name, prefix.length);
    else yield fileNode(physical + member, name, prefix.length, location);
  }
}

function directoryNode(name: string, parentLength: number): TreeNode {
  return { kind: 'directory', name, parentLength, target: '', executable: true, size: 0 };
}

function linkNode(physical: string, name: string, parentLength: number): TreeNode {
  const target = readlinkSync(fsPath(physical), 'latin1');
  return { kind: 'symlink', name, parentLength, target, executable: false, size: 0 };
}

function fileNode(physical: string, name: string, parentLength: number, location: StoreLocation): TreeNode {
  const stat = lstatSync(fsPath(physical));
  if (!stat.isFile()) throw changedFile(name, 'is neither a file, a directory nor a link');
  if (location.registeredTimes && stat.mtimeMs !== 1000)
    throw changedFile(name, 'was written to after it was registered');
  return {
    kind: 'file',
    name,
    parentLength,
    target: '',
    executable: (stat.mode & 0o100) !== 0,
    size: stat.size,
  };
}
