/** Keeps the basis usable when Debian's archive no longer has a locked version: a copy of it with a lock of today. */
import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isKilnError } from '../base/error.ts';
import { basisInputFile, basisLockFile, basisPath } from './basis-path.ts';
import type { NixSystem } from './basis-input.ts';

export interface RelockOptions {
  /** `KILN_HOME`; the copy goes below `basis/` there. */
  readonly dataFolder: string;
  readonly debianFolder: string;
  /** Default: this machine's. */
  readonly system?: NixSystem;
  readonly signal?: AbortSignal;
  readonly onProgress?: (line: string) => void;
}

/** True for the error of `provideFixedOutputs` that a new lock would mend. */
export function isArchiveAhead(error: unknown): boolean {
  return isKilnError(error) && error.code === 'dependency-fetch' && error.fields['gone'] === true;
}

/**
 * The basis to evaluate with: the copy that {@link relockBasis} made for this version of Kiln, else the one it carries.
 * A newer Kiln brings a newer lock, so its copies have another name and old ones are not looked at.
 */
export async function activeBasisPath(dataFolder: string): Promise<string> {
  const copy = await copyPath(dataFolder);
  const there = await stat(join(copy, 'default.nix')).then(
    () => true,
    () => false,
  );
  return there ? copy : basisPath();
}

/**
 * Resolves everything again from the signed index and makes the copy, whole or not at all; returns its path. Whatever was
 * evaluated before must be evaluated again with it.
 * @throws KilnError dependency-fetch, not-found, tool-missing
 */
export async function relockBasis(options: RelockOptions): Promise<string> {
  const { dataFolder, debianFolder, signal, onProgress } = options;
  const copy = await copyPath(dataFolder);
  onProgress?.("Debian's archive has moved on: writing a new lock for the basis");
  await mkdir(dirname(copy), { recursive: true });
  const work = await mkdtemp(`${copy}.new-`);
  try {
    await cp(basisPath(), work, { recursive: true });
    // Imported when needed: it brings the clients of the package archives along.
    const { lockBasis } = await import('./lock-basis.ts');
    await lockBasis({
      debianFolder,
      inputFile: basisInputFile(),
      lockFile: join(work, 'lock.json'),
      systems: [options.system ?? machineSystem()],
      ...(signal === undefined ? {} : { signal }),
      ...(onProgress === undefined ? {} : { onProgress }),
    });
    await rm(copy, { recursive: true, force: true });
    await rename(work, copy);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  return copy;
}

async function copyPath(dataFolder: string): Promise<string> {
  const shipped = createHash('sha256')
    .update(await readFile(basisLockFile()))
    .digest('hex');
  return join(dataFolder, 'basis', shipped.slice(0, 16));
}

function machineSystem(): NixSystem {
  return process.arch === 'arm64' ? 'aarch64-linux' : 'x86_64-linux';
}
