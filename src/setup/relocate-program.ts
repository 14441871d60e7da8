/** Makes a program of an unpacked Debian tree run from there, with that tree's own C library. */
import { chmod, readdir, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { KilnError } from '../base/error.ts';
import { runChecked, runProcess } from '../process/run-process.ts';

const TUPLES: Readonly<Record<string, string>> = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' };

/**
 * Writes the tree's dynamic loader and library folder into `program`. The tree must hold `patchelf`.
 * DT_RPATH is used rather than DT_RUNPATH: it also covers what libraries need, and what they load while running,
 * so no library has to be changed. It also comes before LD_LIBRARY_PATH.
 */
export async function relocateProgram(
  directory: string,
  program: string,
  options: { readonly signal?: AbortSignal } = {},
): Promise<void> {
  const libraries = libraryFolder(directory);
  const loader = await dynamicLoader(libraries);
  const file = join(directory, program);
  const copy = `${file}.relocated`;
  const patchelf = ['--library-path', libraries, join(directory, 'usr/bin/patchelf')];
  const change = [
    '--set-interpreter',
    loader,
    '--force-rpath',
    '--set-rpath',
    libraries,
    '--output',
    copy,
    file,
  ];
  await runChecked(loader, [...patchelf, ...change], {
    signal: options.signal,
    describe: ({ stderr }) =>
      new KilnError('tool-missing', `${program} could not be made to run from ${directory}`, {
        where: stderr.trim().slice(0, 1000),
      }),
  });
  await chmod(copy, (await stat(file)).mode & 0o777);
  await rename(copy, file);
  await demandOwnLibraries(directory, loader, file, options.signal);
}

/** A library taken from the machine would work today and break with its next upgrade. */
async function demandOwnLibraries(
  directory: string,
  loader: string,
  file: string,
  signal?: AbortSignal,
): Promise<void> {
  const listed = await runProcess(loader, ['--list', file], { signal });
  const foreign = listed.stdout
    .split('\n')
    .filter((line) => line.includes('=>') && !line.includes(`=> ${directory}/`))
    .map((line) => line.trim());
  if (listed.exitCode === 0 && foreign.length === 0) return;
  throw new KilnError('tool-missing', `${file} lacks libraries of its own`, {
    where: [...foreign, listed.stderr.trim()].filter((line) => line !== '').join('\n'),
  });
}

/** Folder of the tree's libraries; Debian names it after the machine. */
function libraryFolder(directory: string): string {
  return join(directory, 'usr/lib', TUPLES[process.arch] ?? process.arch);
}

async function dynamicLoader(libraries: string): Promise<string> {
  const name = (await readdir(libraries).catch(() => [])).find((entry) =>
    /^ld-linux.*\.so\.\d+$/.test(entry),
  );
  if (name !== undefined) return join(libraries, name);
  throw new KilnError('tool-missing', `no dynamic loader in ${libraries}`);
}
