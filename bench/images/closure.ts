/** What is measured: two releases of a closure that differ in one path, and a path of many small files. */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { StorePath } from '../../src/base/brand.ts';
import { basisPath } from '../../src/basis/basis-path.ts';
import { provideFixedOutputs } from '../../src/basis/provide-fixed-outputs.ts';
import { nixOnPath, type NixInstallation } from '../../src/nix/nix-installation.ts';
import { openStoreDatabase } from '../../src/nix/open-store-database.ts';
import { runNix } from '../../src/nix/run-nix.ts';
import { debianDirectory } from '../../src/setup/kiln-home.ts';
import { type Closure, closureSize } from '../../src/store/closure.ts';

export interface Release {
  readonly root: StorePath;
  readonly closure: Closure;
}

export interface Sample {
  readonly nix: NixInstallation;
  readonly first: Release;
  /** The same but for one path of a few bytes. */
  readonly second: Release;
  readonly files: number;
  /** Bytes of all NARs. */
  readonly bytes: number;
  /** One store path of 15 000 files of up to 12 KiB. */
  readonly small: { readonly path: StorePath; readonly files: number };
  /** The store path with the most bytes per file. */
  readonly large: StorePath;
}

const SMALL_FILES = 15_000;
const expression = (release: number): string => `
  with import <nixpkgs> { };
  writeText "bench-release" ''
    release ${release}
    \${go} \${nodejs} \${cmake} \${ffmpeg}
  ''`;

export async function makeSample(folder: string): Promise<Sample> {
  const nix = await nixOnPath();
  const first = await build(nix, folder, expression(1));
  const second = await build(nix, folder, expression(2));
  const counts = await Promise.all(
    first.closure.paths.map(async ({ path, narSize }) => ({
      path,
      narSize,
      files: await countFiles(path),
    })),
  );
  const [large] = counts.toSorted((a, b) => b.narSize / b.files - a.narSize / a.files);
  return {
    nix,
    first,
    second,
    files: counts.reduce((sum, { files }) => sum + files, 0),
    bytes: closureSize(first.closure),
    small: { path: await smallFiles(nix, folder), files: SMALL_FILES },
    large: large?.path ?? first.root,
  };
}

async function build(nix: NixInstallation, folder: string, text: string): Promise<Release> {
  const drv = (await succeed(nix, 'nix-instantiate', ['-I', `nixpkgs=${basisPath()}`, '-E', text])).trim();
  await provideFixedOutputs(drv, { nix, debianFolder: debianDirectory() });
  const link = join(folder, `root-${performance.now()}`);
  await succeed(nix, 'nix-store', ['--realise', '--add-root', link, drv]);
  const root = (await succeed(nix, 'nix-store', ['--query', '--outputs', drv])).trim() as StorePath;
  using store = openStoreDatabase(nix);
  return { root, closure: await store.closure([root]) };
}

async function smallFiles(nix: NixInstallation, folder: string): Promise<StorePath> {
  const tree = join(folder, 'small');
  let state = 1;
  for (let at = 0; at < SMALL_FILES; at++) {
    const directory = join(tree, String(at % 150));
    if (at < 150) await mkdir(directory, { recursive: true });
    state = (state * 48_271) % 2_147_483_647;
    await writeFile(join(directory, `file-${at}.txt`), Buffer.alloc(200 + (state % 12_000), `${state} `));
  }
  return (await succeed(nix, 'nix-store', ['--add', tree])).trim() as StorePath;
}

async function succeed(nix: NixInstallation, program: string, args: readonly string[]): Promise<string> {
  const result = await runNix(nix, program, args);
  if (result.exitCode !== 0) throw new Error(`${program}: ${result.stderr.slice(-2000)}`);
  return result.stdout;
}

async function countFiles(path: string): Promise<number> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true }).catch(() => []);
  return Math.max(1, entries.filter((entry) => entry.isFile()).length);
}
