/** Runs a program and tells its wall time, processor time and peak memory. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { Measurement } from './figures.ts';

export interface Measured extends Measurement {
  readonly output: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Processors that it may use, as taskset takes them: `0` or `0,1`. */
  readonly processors?: string;
  readonly cwd?: string;
}

/** Peak memory is that of the largest process, looked at 50 times per second. */
export async function measure(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Measured> {
  const words = [program, ...args];
  const command = options.processors === undefined ? words : ['taskset', '-c', options.processors, ...words];
  // The shell says the times of what it waited for, its grandchildren with it.
  const script = 'TIMEFORMAT="%U %S"; { time "$@" 2>&3; } 3>&2 2>&4';
  const started = performance.now();
  const child = spawn('bash', ['-c', script, 'measured', ...command], {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe', 'ignore', 'pipe'],
  });
  const texts = ['', '', ''];
  [child.stdout, child.stderr, child.stdio[4]].forEach((stream, at) => {
    stream?.on('data', (chunk: Buffer) => (texts[at] += chunk.toString()));
  });
  let peakBytes = 0;
  const watch = setInterval(() => {
    for (const pid of descendants(child.pid ?? 0)) peakBytes = Math.max(peakBytes, residentPeak(pid));
  }, 20);
  const [status] = (await once(child, 'close')) as [number | null];
  clearInterval(watch);
  const ms = performance.now() - started;
  const [output = '', errors = '', times = ''] = texts;
  if (status !== 0) throw new Error(`${command.join(' ').slice(0, 300)} failed: ${errors.slice(-2000)}`);
  const [user = 0, system = 0] = times.trim().split(' ').map(Number);
  return { ms, cpuMs: (user + system) * 1000, ...(peakBytes === 0 ? {} : { peakBytes }), output };
}

export function shell(script: string, options: RunOptions = {}): Promise<Measured> {
  return measure('bash', ['-c', `set -euo pipefail; ${script}`], options);
}

/** VmHWM of a process in bytes; 0 when it is gone. */
export function residentPeak(pid: number): number {
  const text = read(`/proc/${pid}/status`);
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(text)?.[1] ?? 0) * 1024;
}

/** Processor time that a process and its threads have used, in milliseconds (clock ticks of 10 ms). */
export function processorTime(pid: number): number {
  const fields = read(`/proc/${pid}/stat`)
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

function descendants(pid: number): number[] {
  const children = read(`/proc/${pid}/task/${pid}/children`).trim().split(/\s+/).filter(Boolean).map(Number);
  return children.flatMap((child) => [child, ...descendants(child)]);
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

export async function installed(program: string): Promise<boolean> {
  return await measure('which', [program]).then(
    () => true,
    () => {
      console.log(`  without ${program}: not installed`);
      return false;
    },
  );
}
