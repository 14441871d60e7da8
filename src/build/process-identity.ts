/** Recognises a process again although numbers are reused: by its start time in this boot (proc_pid_stat(5), field 22). */
import { readFile } from 'node:fs/promises';

export interface ProcessIdentity {
  readonly pid: number;
  /** Boot identifier and start time in clock ticks since that boot. */
  readonly startTicks: string;
}

/** Undefined when no such process runs (a zombie does not run). Linux only. */
export async function identifyProcess(pid: number): Promise<ProcessIdentity | undefined> {
  try {
    const [stat, boot] = await Promise.all([
      readFile(`/proc/${pid}/stat`, 'utf8'),
      readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
    ]);
    // The command name is in parentheses and may hold anything; the state is the first field after it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z' || fields[19] === undefined) return undefined;
    return { pid, startTicks: `${boot.trim()}/${fields[19]}` };
  } catch {
    return undefined;
  }
}

export async function isSameProcess(process: ProcessIdentity): Promise<boolean> {
  return (await identifyProcess(process.pid))?.startTicks === process.startTicks;
}
