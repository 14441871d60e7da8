/** crun in a private prefix, for a machine whose own OCI runtimes cannot start a program. */
import { join } from 'node:path';
import { KilnError } from '../base/error.ts';
import { runChecked } from '../process/run-process.ts';
import type { OciRuntime } from '../runtime/oci-runtime.ts';
import { findPrefix, installPrefix, type SetupRun } from './debian-prefix.ts';
import { demandPermission } from './install-permission.ts';

const CRUN_PREFIX = { name: 'crun', program: 'usr/bin/crun' } as const;

/** The crun that Kiln installed for itself. */
export async function findInstalledCrun(run: SetupRun = {}): Promise<OciRuntime | undefined> {
  const prefix = await findPrefix(CRUN_PREFIX, run.env);
  return prefix === undefined ? undefined : crunOf(prefix.directory);
}

/** @throws KilnError tool-missing, dependency-fetch */
export async function installCrun(run: SetupRun = {}): Promise<OciRuntime> {
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
  return crunOf(prefix.directory);
}

function crunOf(directory: string): OciRuntime {
  return { name: 'crun', path: join(directory, CRUN_PREFIX.program) };
}
