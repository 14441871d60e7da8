/** Ends a process and everything it started, also what moved to a process group or session of its own. */
import { readFile, readdir } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

interface ProcessEntry {
  readonly pid: number;
  readonly parent: number;
}

/**
 * Sends SIGTERM to the tree below `pid`, and SIGKILL to what is left after `graceMs`.
 * The tree is read before the first signal: children of an ended process would no longer be found below it.
 */
export async function killTree(pid: number, graceMs: number): Promise<void> {
  const tree = [pid, ...(await descendants(pid))];
  signalAll(tree, 'SIGTERM');
  const deadline = performance.now() + graceMs;
  while (performance.now() < deadline) {
    if (!tree.some(isAlive)) return;
    await sleep(50);
  }
  signalAll([...new Set([...tree, ...(await descendants(pid))])], 'SIGKILL');
}

/** True while the process exists and is not a zombie's leftover of another user. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** All processes below `pid`, nearest first. Linux only (`/proc`); elsewhere the list is empty. */
async function descendants(pid: number): Promise<number[]> {
  const all = await readProcesses();
  const found: number[] = [];
  const queue = [pid];
  for (let parent = queue.shift(); parent !== undefined; parent = queue.shift()) {
    for (const entry of all) {
      if (entry.parent !== parent) continue;
      found.push(entry.pid);
      queue.push(entry.pid);
    }
  }
  return found;
}

async function readProcesses(): Promise<ProcessEntry[]> {
  const names = await readdir('/proc').catch(() => []);
  const entries = await Promise.all(names.filter((name) => /^\d+$/.test(name)).map(readProcess));
  return entries.filter((entry) => entry !== undefined);
}

async function readProcess(name: string): Promise<ProcessEntry | undefined> {
  const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => undefined);
  // The command name is in parentheses and may hold anything; the parent is the second field after them.
  const parent = stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[1];
  return parent === undefined ? undefined : { pid: Number(name), parent: Number(parent) };
}

function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal);
    } catch {
      // It has ended by itself.
    }
  }
}
