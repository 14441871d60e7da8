/** Asks Nix what a build would do. */
import type { StorePath } from '../base/brand.ts';
import { isStorePath } from '../store/store-path.ts';
import { machineFailure, nixFailure } from './nix-failure.ts';
import type { NixInstallation } from './nix-installation.ts';
import { runNix, type RunNixOptions } from './run-nix.ts';

export interface Missing {
  /** Derivations, dependencies first as Nix lists them. */
  readonly willBuild: readonly StorePath[];
  readonly willSubstitute: readonly StorePath[];
  /** Bytes, rounded by Nix to hundredths of a unit. */
  readonly downloadBytes: number;
  readonly narBytes: number;
}

/** @throws KilnError nix-failed, disk-full, cancelled */
export async function queryMissing(
  nix: NixInstallation,
  drvPath: StorePath,
  options: Pick<RunNixOptions, 'signal' | 'settings' | 'deadlineMs'> = {},
): Promise<Missing> {
  const result = await runNix(nix, 'nix-store', ['--realise', '--dry-run', drvPath], options);
  if (result.exitCode !== 0) throw machineFailure(result.stderr) ?? nixFailure('nix-store --dry-run', result);
  return parseDryRun(result.stderr);
}

/** Reads the lists that `--dry-run` prints. Pure. */
export function parseDryRun(text: string): Missing {
  const willBuild: StorePath[] = [];
  const willSubstitute: StorePath[] = [];
  let list: StorePath[] | undefined;
  let [downloadBytes, narBytes] = [0, 0];
  for (const line of text.split('\n')) {
    const path = line.trim();
    if (/ derivations? will be built/.test(line)) list = willBuild;
    else if (/ paths? will be fetched/.test(line)) {
      list = willSubstitute;
      const sizes = /\((\S+ [KMGTP]?i?B) download, (\S+ [KMGTP]?i?B) unpacked\)/.exec(line);
      [downloadBytes, narBytes] = [toBytes(sizes?.[1]), toBytes(sizes?.[2])];
    } else if (line.startsWith('  ') && isStorePath(path)) list?.push(path);
    else list = undefined;
  }
  return { willBuild, willSubstitute, downloadBytes, narBytes };
}

function toBytes(text: string | undefined): number {
  const match = /^(\d+(?:\.\d+)?) ([KMGTP]?)i?B$/.exec(text ?? '');
  if (match === null) return 0;
  return Math.round(Number(match[1]) * 1024 ** ' KMGTP'.indexOf(match[2] === '' ? ' ' : (match[2] ?? ' ')));
}
