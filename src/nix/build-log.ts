/** The logs that Nix itself keeps, of builds by anybody on this machine. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { StorePath } from '../base/brand.ts';
import { systemErrorCode } from '../base/error.ts';
import { baseNameOf } from '../store/store-path.ts';
import type { NixInstallation } from './nix-installation.ts';
import { NIX_COMMAND, runNix } from './run-nix.ts';

/** The whole log of the last build of `drvPath`, or `undefined` where Nix has none. */
export async function readBuildLog(
  nix: NixInstallation,
  drvPath: StorePath,
  signal?: AbortSignal,
): Promise<string | undefined> {
  try {
    return await readFile(logPath(nix, drvPath), {
      encoding: 'utf8',
      signal,
    });
  } catch (error) {
    if (!['ENOENT', 'EACCES'].includes(systemErrorCode(error) ?? '')) throw error;
  }
  // Compressed (`compress-build-log`), or only on a substituter.
  const result = await runNix(nix, 'nix', ['log', ...NIX_COMMAND, '--', drvPath], { signal });
  return result.exitCode === 0 ? result.stdout : undefined;
}

export interface BuildLogFile {
  readonly path: string;
  readonly compression: 'none' | 'bzip2';
  /** Bytes of the file. */
  readonly size: number;
}

/** The file that holds the log of the last build of `drvPath` on this machine. */
export async function findBuildLog(
  nix: NixInstallation,
  drvPath: StorePath,
): Promise<BuildLogFile | undefined> {
  const plain = logPath(nix, drvPath);
  for (const [path, compression] of [
    [plain, 'none'],
    [`${plain}.bz2`, 'bzip2'],
  ] as const) {
    const found = await stat(path).catch(() => undefined);
    if (found?.isFile() === true) return { path, compression, size: found.size };
  }
  return undefined;
}

function logPath(nix: NixInstallation, drvPath: StorePath): string {
  const logDir = nix.env['NIX_LOG_DIR'] ?? process.env['NIX_LOG_DIR'] ?? '/nix/var/log/nix';
  const name = baseNameOf(drvPath);
  return join(logDir, 'drvs', name.slice(0, 2), name.slice(2));
}
