/** An OCI runtime that was seen to run a program on this machine; crun is installed first if there is none. */
import { KilnError } from '../base/error.ts';
import type { OciRuntime } from '../runtime/oci-runtime.ts';
import { selectRuntime } from '../runtime/select-runtime.ts';
import type { SetupRun } from './debian-prefix.ts';
import { findProgram } from './find-program.ts';
import { findInstalledCrun, installCrun } from './install-crun.ts';

/** @param memoryFile where the choice is remembered until the machine restarts or a runtime changes. @throws KilnError tool-missing */
export async function ensureWorkingRuntime(run: SetupRun, memoryFile: string): Promise<OciRuntime> {
  const first = await findWorkingRuntime(run, memoryFile);
  if (first.runtime !== undefined) return first.runtime;
  const installed = first.candidates.some(({ name }) => name === 'crun') ? [] : [await installCrun(run)];
  const second = await selectRuntime(installed, memoryFile, run.signal);
  if (second.runtime !== undefined) return second.runtime;
  throw new KilnError('tool-missing', 'no OCI runtime can start a program on this machine', {
    where: [...first.problems, ...second.problems].join('\n'),
    hint: 'Install crun or runc (on Debian: `apt-get install runc`); containers need root or user namespaces.',
  });
}

export interface FoundRuntimes {
  /** All that are there, in the order in which they are tried. */
  readonly candidates: readonly OciRuntime[];
  /** The first one that works. */
  readonly runtime?: OciRuntime;
  /** Why the ones before it do not. */
  readonly problems: readonly string[];
}

/** Installs nothing. @param memoryFile as in {@link ensureWorkingRuntime} */
export async function findWorkingRuntime(run: SetupRun, memoryFile: string): Promise<FoundRuntimes> {
  const candidates: OciRuntime[] = [];
  for (const name of ['crun', 'runc'] as const) {
    const path = await findProgram(name, run.env);
    if (path !== undefined) candidates.push({ name, path });
  }
  const crun = await findInstalledCrun(run);
  if (crun !== undefined) candidates.push(crun);
  return { candidates, ...(await selectRuntime(candidates, memoryFile, run.signal)) };
}
