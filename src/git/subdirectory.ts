/** A folder inside a checkout: whatever its name and symbolic links say, it must not lead out of it. */
import { realpath, stat } from 'node:fs/promises';
import { isAbsolute, join, sep } from 'node:path';
import { KilnError } from '../base/error.ts';

/** @returns the absolute path without symbolic links. @throws KilnError invalid-input, not-found */
export async function resolveSubdirectory(root: string, subdirectory: string | undefined): Promise<string> {
  if (subdirectory === undefined || subdirectory === '' || subdirectory === '.') return root;
  if (isAbsolute(subdirectory) || subdirectory.includes('\0')) {
    throw new KilnError('invalid-input', 'The subdirectory must be a path inside the repository', {
      where: subdirectory,
    });
  }
  const real = await realpath(root);
  const path = await realpath(join(real, subdirectory)).catch(() => undefined);
  if (path !== undefined && path !== real && !path.startsWith(`${real}${sep}`)) {
    throw new KilnError('invalid-input', 'The subdirectory leads out of the repository', {
      where: subdirectory,
      hint: 'Remove ".." from it, and symbolic links that point outside.',
    });
  }
  const inGit =
    path !== undefined &&
    path
      .slice(real.length)
      .split(sep)
      .some((part) => part.toLowerCase() === '.git');
  if (path === undefined || inGit || !(await stat(path)).isDirectory()) {
    throw new KilnError('not-found', 'The repository has no such folder', {
      where: subdirectory,
      hint: 'Check the spelling, capitals included, and the branch.',
    });
  }
  return path === real ? root : path;
}
