/** The program that starts containers: the machine's crun or runc, else crun in a private prefix. */
import { join } from 'node:path';
import { KilnError } from '../base/error.ts';
import { runChecked, runProcess } from '../process/run-process.ts';
import { findPrefix, installPrefix, type SetupRun } from './debian-prefix.ts';
import { findProgram } from './find-program.ts';
import { demandPermission } from './install-permission.ts';

export interface OciRuntime {
  readonly name: 'crun' | 'runc';
  /** Absolute path of the program. */
  readonly path: string;
  /** As it prints it, e.g. `1.21`. */
  readonly version: string;
}

const CRUN_PREFIX = { name: 'crun', program: 'usr/bin/crun' } as const;

export async function findOciRuntime(run: SetupRun = {}): Promise<OciRuntime | undefined> {
  for (const name of ['crun', 'runc'] as const) {
    const path = await findProgram(name, run.env);
    const version = path === undefined ? undefined : await runtimeVersion(path, run);
    if (path !== undefined && version !== undefined) return { name, path, version };
  }
  return await findInstalledCrun(run);
}

/** The crun that Kiln installed for itself. */
export async function findInstalledCrun(run: SetupRun = {}): Promise<OciRuntime | undefined> {
  const prefix = await findPrefix(CRUN_PREFIX, run.env);
  return prefix === undefined ? undefined : await crunOf(prefix.directory, run);
}

/** The runtime to use; crun is installed first if there is none. @throws KilnError tool-missing, dependency-fetch */
export async function ensureOciRuntime(run: SetupRun = {}): Promise<OciRuntime> {
  return (await findOciRuntime(run)) ?? (await installOciRuntime(run));
}

export async function installOciRuntime(run: SetupRun = {}): Promise<OciRuntime> {
  demandPermission(
    'an OCI runtime',
    'Install one (on Debian: `apt-get install crun`), or start Kiln without KILN_NO_INSTALL.',
    run.env,
  );
  const prefix = await installPrefix(
    {
      ...CRUN_PREFIX,
      title: 'crun',
      main: 'crun',
      packages: ['patchelf'],
      complete: async (directory, { env, signal }) => {
        await runChecked(join(directory, CRUN_PREFIX.program), ['--version'], {
          env,
          signal,
          describe: ({ stderr }) =>
            new KilnError('tool-missing', 'the crun from Debian does not run on this machine', {
              where: stderr.trim().slice(0, 1000),
              hint: 'Install crun or runc by other means and put it on PATH.',
            }),
        });
      },
    },
    run,
  );
  return await crunOf(prefix.directory, run);
}

async function crunOf(directory: string, run: SetupRun): Promise<OciRuntime> {
  const path = join(directory, CRUN_PREFIX.program);
  return { name: 'crun', path, version: (await runtimeVersion(path, run)) ?? 'unknown' };
}

/** First line of either: `crun version 1.21`, `runc version 1.1.15+ds1`. */
async function runtimeVersion(path: string, { env, signal }: SetupRun): Promise<string | undefined> {
  const result = await runProcess(path, ['--version'], { env, signal, deadlineMs: 20_000 }).catch(
    () => undefined,
  );
  return result?.exitCode === 0 ? /version (\S+)/.exec(result.stdout)?.[1] : undefined;
}
