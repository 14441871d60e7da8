/** Frees space in the store: deletes what no root reaches, and shares equal files. */
import type { StorePath } from '../base/brand.ts';
import { isStorePath } from '../store/store-path.ts';
import { machineFailure, nixFailure } from './nix-failure.ts';
import type { NixInstallation } from './nix-installation.ts';
import { runNix, type RunNixOptions } from './run-nix.ts';

export interface GarbageOptions extends Pick<RunNixOptions, 'signal' | 'deadlineMs'> {
  /** Stop after this many bytes. */
  readonly maxFreed?: number;
  /** Called for each path as it goes. */
  readonly onDeleted?: (path: StorePath) => void;
}

export interface Collected {
  readonly deleted: readonly StorePath[];
  /** Bytes, as exact as Nix prints them (two decimals of its unit). */
  readonly freedBytes: number;
}

/** Deletes what no root reaches. @throws KilnError nix-failed, cancelled, timed-out */
export async function collectGarbage(nix: NixInstallation, options: GarbageOptions = {}): Promise<Collected> {
  const limit =
    options.maxFreed === undefined ? [] : ['--max-freed', String(Math.max(1, Math.floor(options.maxFreed)))];
  return await runDeletion(nix, ['--gc', ...limit], options);
}

/** Paths that {@link collectGarbage} would delete now. */
export async function deadPaths(nix: NixInstallation, signal?: AbortSignal): Promise<StorePath[]> {
  const result = await runNix(nix, 'nix-store', ['--gc', '--print-dead'], { signal });
  if (result.exitCode !== 0) throw nixFailure('nix-store --gc --print-dead', result);
  return result.stdout.split('\n').filter(isStorePath);
}

/**
 * Deletes exactly these paths; those that a root or another path needs stay.
 * @param paths dead ones, as of {@link deadPaths}
 */
export async function deletePaths(
  nix: NixInstallation,
  paths: readonly StorePath[],
  options: Omit<GarbageOptions, 'maxFreed'> = {},
): Promise<Collected> {
  if (paths.length === 0) return { deleted: [], freedBytes: 0 };
  try {
    return await runDeletion(nix, ['--delete', ...paths], options);
  } catch (error) {
    // One path that came alive again refuses the whole list; then each is tried by itself.
    if (paths.length === 1) {
      if (error instanceof Error && /still alive/.test(String((error as { where?: string }).where))) {
        return { deleted: [], freedBytes: 0 };
      }
      throw error;
    }
    const half = Math.ceil(paths.length / 2);
    const first = await deletePaths(nix, paths.slice(0, half), options);
    const second = await deletePaths(nix, paths.slice(half), options);
    return {
      deleted: [...first.deleted, ...second.deleted],
      freedBytes: first.freedBytes + second.freedBytes,
    };
  }
}

/** Replaces equal files by hard links. @returns bytes freed, as exact as Nix prints them */
export async function optimiseStore(
  nix: NixInstallation,
  options: Pick<RunNixOptions, 'signal' | 'deadlineMs'> = {},
): Promise<{ readonly freedBytes: number; readonly files: number }> {
  const result = await runNix(nix, 'nix-store', ['--optimise'], options);
  if (result.exitCode !== 0)
    throw machineFailure(result.stderr) ?? nixFailure('nix-store --optimise', result);
  const files = /hard-linking (\d+) files/.exec(result.stderr)?.[1];
  return { freedBytes: parseFreed(result.stderr), files: Number(files ?? 0) };
}

async function runDeletion(
  nix: NixInstallation,
  args: readonly string[],
  options: GarbageOptions,
): Promise<Collected> {
  const deleted: StorePath[] = [];
  const result = await runNix(nix, 'nix-store', args, {
    signal: options.signal,
    deadlineMs: options.deadlineMs,
    onRawLine: (line) => {
      const path = /^deleting '([^']+)'/.exec(line)?.[1];
      if (path === undefined || !isStorePath(path)) return;
      deleted.push(path);
      options.onDeleted?.(path);
    },
  });
  if (result.exitCode !== 0)
    throw machineFailure(result.stderr) ?? nixFailure(`nix-store ${args[0]}`, result);
  return { deleted, freedBytes: parseFreed(`${result.stdout}\n${result.stderr}`) };
}

function parseFreed(text: string): number {
  const match = /(-?\d+(?:\.\d+)?) ([KMGT]?)i?B freed/.exec(text);
  if (match === null) return 0;
  const unit = match[2] ?? '';
  return Math.round(Number(match[1]) * 1024 ** (unit === '' ? 0 : ' KMGT'.indexOf(unit)));
}
