/** Where the basis is: the folder that `<nixpkgs>` stands for, its input list and its lock. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Absolute path of `nix/basis`; usable as `-I nixpkgs=<path>` and as the flake `path:<path>`. */
export function basisPath(): string {
  return fileURLToPath(new URL('../../nix/basis', import.meta.url));
}

/** The list of what the basis is made of. */
export function basisInputFile(): string {
  return join(basisPath(), 'packages.json');
}

/** The lock that belongs to this version of Kiln. */
export function basisLockFile(): string {
  return join(basisPath(), 'lock.json');
}
