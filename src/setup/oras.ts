/** ORAS, which only Kiln's own tests use: the machine's, else the one of Debian's suite in a private prefix. */
import { join } from 'node:path';
import { KilnError } from '../base/error.ts';
import { runChecked } from '../process/run-process.ts';
import { findPrefix, installPrefix, type SetupRun } from './debian-prefix.ts';
import { findProgram } from './find-program.ts';
import { demandPermission } from './install-permission.ts';

const ORAS_PREFIX = { name: 'oras', program: 'usr/bin/oras' } as const;

/** Path of the program; it is installed first if there is none. @throws KilnError tool-missing, dependency-fetch */
export async function ensureOras(run: SetupRun = {}): Promise<string> {
  const found = await findProgram('oras', run.env);
  if (found !== undefined) return found;
  const prefix = (await findPrefix(ORAS_PREFIX, run.env)) ?? (await install(run));
  return join(prefix.directory, ORAS_PREFIX.program);
}

async function install(run: SetupRun): ReturnType<typeof installPrefix> {
  demandPermission('ORAS', 'Install it, or start the tests without KILN_NO_INSTALL.', run.env);
  return await installPrefix(
    {
      ...ORAS_PREFIX,
      title: 'ORAS',
      main: 'oras',
      packages: ['patchelf'],
      complete: async (directory, { env, signal }) => {
        await runChecked(join(directory, ORAS_PREFIX.program), ['version'], {
          env,
          signal,
          describe: ({ stderr }) =>
            new KilnError('tool-missing', 'the ORAS from Debian does not run on this machine', {
              where: stderr.trim().slice(0, 1000),
            }),
        });
      },
    },
    run,
  );
}
