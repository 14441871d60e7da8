/** Roots that keep store paths from garbage collection: links in a folder that Kiln owns, registered with Nix. */
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readlink, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { StorePath } from '../base/brand.ts';
import { KilnError } from '../base/error.ts';
import { isAlive } from '../process/kill-tree.ts';
import { isStorePath } from '../store/store-path.ts';
import { machineFailure, nixFailure } from './nix-failure.ts';
import type { NixInstallation } from './nix-installation.ts';
import { runNix } from './run-nix.ts';
import { missingPath } from './store-database.ts';

export interface GcRoots {
  /** Absolute path of the link with this name, for commands that make the root themselves (`--out-link`, `--add-root`). */
  linkOf(name: string): string;
  /**
   * Keeps `path` and all it refers to until {@link release}; an older root of that name is replaced at once.
   * Nix takes a temporary root first, so a garbage collection that is running cannot delete the path.
   * @throws KilnError store-path-missing, invalid-name
   */
  hold(name: string, path: StorePath, signal?: AbortSignal): Promise<void>;
  /** Removes a root; one that does not exist is no error. */
  release(name: string): Promise<void>;
  list(): Promise<ReadonlyMap<string, StorePath>>;
  /** Keeps `paths` until disposed, or until the next start after a crash. */
  holdForNow(paths: readonly StorePath[], signal?: AbortSignal): Promise<AsyncDisposable>;
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._@=+-]{0,199}$/;
const TEMPORARY = /^temporary-(\d+)-/;

/** @param directory absolute; made if it is missing. What ended processes held temporarily is released. */
export async function openGcRoots(nix: NixInstallation, directory: string): Promise<GcRoots> {
  await mkdir(directory, { recursive: true });
  await releaseLeftovers(directory);
  const linkOf = (name: string): string => join(directory, checkRootName(name));
  const release = async (name: string): Promise<void> => await rm(linkOf(name), { force: true });
  const hold = async (name: string, path: StorePath, signal?: AbortSignal): Promise<void> => {
    const result = await runNix(nix, 'nix-store', ['--realise', '--add-root', linkOf(name), path], {
      signal,
      // Holding must neither build nor fetch: a path that is gone is an error.
      settings: { 'max-jobs': '0', substitute: 'false' },
    });
    if (result.exitCode === 0) return;
    throw machineFailure(result.stderr) ?? holdFailure(path, result);
  };
  return {
    linkOf,
    hold,
    release,
    list: async () => {
      const found = new Map<string, StorePath>();
      for (const name of await readdir(directory)) {
        const target = await readlink(join(directory, name)).catch(() => '');
        if (isStorePath(target) && !TEMPORARY.test(name)) found.set(name, target);
      }
      return found;
    },
    holdForNow: async (paths, signal) => {
      const names: string[] = [];
      const held = {
        [Symbol.asyncDispose]: async () => {
          await Promise.all(names.map(release));
        },
      };
      try {
        for (const path of paths) {
          const name = `temporary-${process.pid}-${randomUUID()}`;
          names.push(name);
          await hold(name, path, signal);
        }
      } catch (error) {
        await held[Symbol.asyncDispose]();
        throw error;
      }
      return held;
    },
  };
}

/** Names are file names: no separators, no leading dot or dash. @throws KilnError invalid-name */
function checkRootName(name: string): string {
  if (NAME.test(name)) return name;
  throw new KilnError(
    'invalid-name',
    `${JSON.stringify(name.slice(0, 240))} cannot name a garbage collector root`,
    {
      hint: 'Use letters, digits and . _ @ = + -, at most 200, beginning with a letter or digit.',
    },
  );
}

async function releaseLeftovers(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    const pid = TEMPORARY.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) await rm(join(directory, name), { force: true });
  }
}

function holdFailure(
  path: StorePath,
  result: { readonly exitCode: number; readonly stderr: string },
): KilnError {
  if (/is not valid|does not exist|don't know how to build|no substituter/.test(result.stderr))
    return missingPath(path);
  return nixFailure('nix-store --add-root', result);
}
