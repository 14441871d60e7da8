/** A bundle folder for an OCI runtime: a root file system made of literal entries, store paths bound into it read-only. */
import { chmod, chown, lstat, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { StorePath } from '../base/brand.ts';
import { KilnError, systemErrorCode } from '../base/error.ts';
import type { LiteralEntry } from '../oci/layer-recipe.ts';
import { runtimeSpec, type ContainerOptions, type ContainerProcess } from './runtime-spec.ts';

export interface BundleContent {
  readonly literals: readonly LiteralEntry[];
  readonly storePaths: readonly StorePath[];
  /** Fills the root file system first, for images whose layers are not in the store. */
  readonly fill?: (root: string) => Promise<void>;
  /** Entries that `fill` writes and that say, like `literals`, which folders stay writable. */
  readonly unpacked?: readonly LiteralEntry[];
}

export interface Bundle extends AsyncDisposable {
  readonly directory: string;
}

/**
 * Makes a bundle below `parent`. Nothing of the store is copied: each path is a read-only bind mount, and only the
 * paths named are visible, so that a program that needs one more fails here as it would elsewhere.
 */
export async function createBundle(
  parent: string,
  content: BundleContent,
  program: ContainerProcess,
  options: Omit<ContainerOptions, 'binds'>,
): Promise<Bundle> {
  await mkdir(parent, { recursive: true });
  const directory = await mkdtemp(join(parent, 'bundle-'));
  const bundle: Bundle = {
    directory,
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
  try {
    const root = join(directory, 'rootfs');
    await content.fill?.(root);
    for (const folder of ['.', 'nix', 'nix/store', 'proc', 'dev', 'sys'])
      await makeFolder(join(root, folder));
    await chmod(root, 0o755);
    for (const entry of content.literals) await writeLiteral(root, entry);
    await Promise.all(content.storePaths.map((path) => makeMountPoint(root, path)));
    const binds = content.storePaths.map((path) => ({ source: path, destination: path }));
    await writeFile(
      join(directory, 'config.json'),
      JSON.stringify(
        runtimeSpec(program, {
          ...options,
          binds,
          ...writableOf([...content.literals, ...(content.unpacked ?? [])]),
        }),
      ),
    );
    return bundle;
  } catch (error) {
    await bundle[Symbol.asyncDispose]();
    throw error;
  }
}

/** What filled the root may have put a link there that leads out of it. */
async function makeFolder(path: string): Promise<void> {
  const status = await lstat(path).catch(() => undefined);
  if (status?.isDirectory() === true) return;
  if (status !== undefined) await rm(path);
  await mkdir(path);
}

/** Folders made for the user of the program. Those inside another one come with it. */
function writableOf(literals: readonly LiteralEntry[]): { readonly writable?: readonly string[] } {
  const folders = literals.flatMap((entry) =>
    entry.type === 'directory' && (entry.mode & 0o022) !== 0 ? [entry.path] : [],
  );
  const outer = folders.filter((folder) => !folders.some((other) => folder.startsWith(`${other}/`)));
  return outer.length === 0 ? {} : { writable: outer };
}

async function writeLiteral(root: string, entry: LiteralEntry): Promise<void> {
  const path = join(root, entry.path);
  await mkdir(dirname(path), { recursive: true });
  switch (entry.type) {
    case 'directory':
      await mkdir(path, { recursive: true });
      break;
    case 'file':
      await writeFile(path, Buffer.from(entry.contentBase64, 'base64'));
      break;
    case 'symlink':
      await symlink(entry.target, path);
      return;
  }
  // Without root there is one user only; the container's user is mapped to it.
  if (process.getuid?.() === 0) await chown(path, entry.uid, entry.gid);
  await chmod(path, entry.mode);
}

/** A bind mount needs something of the same kind below it. A link cannot be bound: it is made anew. */
async function makeMountPoint(root: string, path: StorePath): Promise<void> {
  const status = await lstat(path).catch((error: unknown) => {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
    throw new KilnError('store-path-missing', `${path} is not in the store any more`, {
      hint: 'Build the image again: its paths were garbage collected.',
    });
  });
  await rm(join(root, path), { recursive: true, force: true });
  if (status.isDirectory()) await mkdir(join(root, path));
  else await writeFile(join(root, path), '');
}
