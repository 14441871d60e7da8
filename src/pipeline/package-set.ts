/** What `<nixpkgs>` stands for in a build. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, readdir, realpath } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { KilnError } from '../base/error.ts';
import { activeBasisPath } from '../basis/relock-basis.ts';
import { kilnHome } from '../setup/kiln-home.ts';
import type { BuildOptions } from '../source/source.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export interface PackageSet {
  readonly name: 'nixpkgs' | 'basis';
  /** Value for the search path: a folder, or an address that Nix fetches. */
  readonly location: string;
  /** Changes whenever evaluation could see something else. */
  readonly identity: string;
}

/**
 * The user's own nixpkgs (`NIX_PATH`, then channels), or the basis that comes with Kiln where there is none.
 * @throws KilnError tool-missing when nixpkgs is asked for and not there
 */
export async function choosePackageSet(
  choice: NonNullable<BuildOptions['packages']>,
  env: Environment,
): Promise<PackageSet> {
  const nixpkgs = choice === 'basis' ? undefined : await findNixpkgs(env);
  if (nixpkgs !== undefined) return nixpkgs;
  if (choice === 'nixpkgs') {
    throw new KilnError(
      'tool-missing',
      'nixpkgs is asked for, but NIX_PATH names none and there is no channel',
      {
        hint: 'Set NIX_PATH=nixpkgs=/path/or/url, add a channel, or build with --packages basis.',
      },
    );
  }
  const location = await activeBasisPath(kilnHome(env));
  return { name: 'basis', location, identity: `basis:${await basisIdentity(location)}` };
}

async function findNixpkgs(env: Environment): Promise<PackageSet | undefined> {
  const entries = (env['NIX_PATH'] ?? '').split(/:(?!\/\/)/).filter((entry) => entry !== '');
  const named = entries.find((entry) => entry.startsWith('nixpkgs='))?.slice('nixpkgs='.length);
  const folders = [
    ...entries.filter((entry) => !entry.includes('=')).map((entry) => join(entry, 'nixpkgs')),
    join(env['HOME'] ?? homedir(), '.nix-defexpr/channels/nixpkgs'),
    '/nix/var/nix/profiles/per-user/root/channels/nixpkgs',
  ];
  const location = named ?? folders.find((folder) => existsSync(join(folder, 'default.nix')));
  if (location === undefined) return undefined;
  if (!location.startsWith('/')) return { name: 'nixpkgs', location, identity: `nixpkgs:${location}` };
  const path = await realpath(location).catch(() => undefined);
  return path === undefined
    ? undefined
    : { name: 'nixpkgs', location: path, identity: `nixpkgs:${await folderIdentity(path)}` };
}

/** A store path is its own identity; a checkout has its commit; anything else only its version and place. */
async function folderIdentity(path: string): Promise<string> {
  if (path.startsWith('/nix/store/')) return path;
  const read = (name: string): Promise<string> =>
    readFile(join(path, name), 'utf8').then(
      (text) => text.trim(),
      () => '',
    );
  const head = await read('.git/HEAD');
  const commit = head.startsWith('ref: ') ? await read(join('.git', head.slice(5))) : head;
  return `${path}@${commit || (await read('.git-revision')) || (await read('.version'))}`;
}

const basisHashes = new Map<string, Promise<string>>();

/** A few dozen small files, read once per process. */
function basisIdentity(location: string): Promise<string> {
  const known = basisHashes.get(location) ?? hashFolder(location);
  basisHashes.set(location, known);
  return known;
}

async function hashFolder(folder: string): Promise<string> {
  const names = (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  const hash = createHash('sha256');
  const contents = await Promise.all(names.map((name) => readFile(name)));
  names.forEach((name, index) =>
    hash.update(`${name.slice(folder.length)}\0${contents[index]?.length}\0`).update(contents[index] ?? ''),
  );
  return hash.digest('hex');
}
