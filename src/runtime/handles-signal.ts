/** Whether a process has a handler for a signal, from the kernel's mask. */
import { readFile } from 'node:fs/promises';
import { constants } from 'node:os';

/**
 * `SigCgt` of `/proc/<pid>/status` (proc(5)). The first process of a container has no default action for signals: without a
 * handler it takes no notice of SIGTERM. @returns undefined when the process has ended
 */
export async function handlesSignal(pid: number, signal: 'SIGTERM'): Promise<boolean | undefined> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const mask = /^SigCgt:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  if (mask === undefined) return undefined;
  return ((BigInt(`0x${mask}`) >> BigInt(constants.signals[signal] - 1)) & 1n) === 1n;
}
