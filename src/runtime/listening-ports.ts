/** Ports that a process's network listens on, from the kernel's own tables. */
import { readFile } from 'node:fs/promises';

/** `0A` in the fourth column of `/proc/<pid>/net/tcp` (proc(5)). */
const LISTEN = '0A';

/** Ascending; empty when the process has ended. In a network of its own these are the container's alone. */
export async function listeningPorts(pid: number): Promise<number[]> {
  const tables = await Promise.all(
    ['tcp', 'tcp6'].map((table) => readFile(`/proc/${pid}/net/${table}`, 'utf8').catch(() => '')),
  );
  return [...new Set(tables.flatMap(portsIn))].sort((a, b) => a - b);
}

function portsIn(table: string): number[] {
  return table
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, local, , state] = line.trim().split(/\s+/);
      return state === LISTEN && local !== undefined ? [Number.parseInt(local.split(':')[1] ?? '', 16)] : [];
    });
}
