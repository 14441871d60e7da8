/** Ends the programs that an attempt left running when its worker died. */
import { readFile, readdir } from 'node:fs/promises';
import type { Queryable } from '../db/database.ts';
import { killTree } from '../process/kill-tree.ts';
import type { RunKey } from './build-queries.ts';
import { isSameProcess } from './process-identity.ts';
import { listProcesses } from './recovery-queries.ts';

const MARK = 'KILN_ATTEMPT';
const KILL_AFTER_MS = 2000;

/** Variables for the programs of an attempt. They are inherited, so also what such a program started is found. */
export function attemptEnvironment(
  run: Pick<RunKey, 'buildId' | 'attempt'>,
): Readonly<Record<string, string>> {
  return { [MARK]: `${run.buildId}/${run.attempt}` };
}

/**
 * Ends what carries the attempt's mark on this machine, and what was recorded for `host`. The record alone would miss a
 * program whose worker was killed between starting and recording it.
 */
export async function endLeftovers(
  db: Queryable,
  run: Pick<RunKey, 'buildId' | 'attempt'>,
  host: string,
): Promise<void> {
  for (const identity of await listProcesses(db, run.buildId, run.attempt, host)) {
    if (await isSameProcess(identity)) await killTree(identity.pid, KILL_AFTER_MS);
  }
  const mark = `${MARK}=${run.buildId}/${run.attempt}`;
  for (const pid of await markedProcesses(mark)) await killTree(pid, KILL_AFTER_MS);
}

/** Linux only; processes of other users cannot be read and are not ours. */
async function markedProcesses(mark: string): Promise<number[]> {
  const names = await readdir('/proc').catch(() => []);
  const pids = names.filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid);
  const marked = await Promise.all(
    pids.map(async (pid) => {
      const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
      return environment.split('\0').includes(mark);
    }),
  );
  return pids.filter((_pid, at) => marked[at]).map(Number);
}
