/** Puts files and folders into the store, named by their content. */
import type { StorePath } from '../base/brand.ts';
import { KilnError } from '../base/error.ts';
import { checkStoreName, parseStorePath } from '../store/store-path.ts';
import { machineFailure, nixFailure } from './nix-failure.ts';
import type { NixInstallation } from './nix-installation.ts';
import { NIX_COMMAND, runNix } from './run-nix.ts';

/** The bytes of one file; its executable bit is not kept. @throws KilnError invalid-name, not-found, disk-full */
export async function addFile(
  nix: NixInstallation,
  file: string,
  name: string,
  signal?: AbortSignal,
): Promise<StorePath> {
  return await add(nix, file, name, 'flat', signal);
}

/** A folder, or one file with its executable bit (as a NAR). @throws KilnError invalid-name, not-found, disk-full */
export async function addDirectory(
  nix: NixInstallation,
  directory: string,
  name: string,
  signal?: AbortSignal,
): Promise<StorePath> {
  return await add(nix, directory, name, 'nar', signal);
}

async function add(
  nix: NixInstallation,
  path: string,
  name: string,
  mode: 'flat' | 'nar',
  signal: AbortSignal | undefined,
): Promise<StorePath> {
  const args = ['store', 'add', ...NIX_COMMAND, '--mode', mode, '--name', checkStoreName(name), '--', path];
  const result = await runNix(nix, 'nix', args, { signal });
  if (result.exitCode === 0) return parseStorePath(result.stdout.trim());
  if (/does not exist|No such file/.test(result.stderr)) {
    throw new KilnError('not-found', `${path} does not exist`, { hint: 'Check the spelling of the path.' });
  }
  throw machineFailure(result.stderr) ?? nixFailure('nix store add', result);
}
