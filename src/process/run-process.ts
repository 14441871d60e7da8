/** Runs a program with a deadline, a silence limit and an abort signal, and ends its whole process tree. */
import { spawn, type ChildProcess } from 'node:child_process';
import { KilnError, systemErrorCode } from '../base/error.ts';
import { markedEnvironment } from './process-mark.ts';
import { splitLines } from './split-lines.ts';
import { killTree } from './kill-tree.ts';

export type OutputStream = 'stdout' | 'stderr';

export interface RunOptions {
  readonly cwd?: string;
  /** The complete environment; without it the program gets this process's. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly stdin?: string | Buffer;
  readonly signal?: AbortSignal;
  /** Milliseconds until the process tree is ended with `timed-out`. */
  readonly deadlineMs?: number;
  /** Milliseconds without any output until the process tree is ended with `silent-too-long`. */
  readonly silenceMs?: number;
  /** Milliseconds between SIGTERM and SIGKILL when the tree has to end. Default 5000. */
  readonly graceMs?: number;
  /** Called for each line of output, in order, without its line feed. */
  readonly onLine?: (line: string, stream: OutputStream) => void;
  /** Bytes of each stream to keep for the result; further output still reaches `onLine`. Default 16 MiB. */
  readonly keepBytes?: number;
  /** Called once with the process identifier, for records that outlive this process. */
  readonly onStart?: (pid: number) => void;
}

export interface ProcessResult {
  /** Exit code, or 128 + signal number as a shell gives it. */
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

const KILL_AFTER_MS = 5000;
const DEFAULT_KEEP_BYTES = 16 * 2 ** 20;

/**
 * Runs `command` (never through a shell) and resolves when it has ended, whatever its exit code.
 * @throws KilnError tool-missing, timed-out, silent-too-long, cancelled
 */
export async function runProcess(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<ProcessResult> {
  if (options.signal?.aborted) throw new KilnError('cancelled', `${command} was not started: cancelled`);
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: markedEnvironment(options.env) as NodeJS.ProcessEnv | undefined,
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  });
  return await supervise(child, command, options);
}

/** Like {@link runProcess}, and anything but exit code 0 is an error made by `describe` (default: nix-failed). */
export async function runChecked(
  command: string,
  args: readonly string[],
  options: RunOptions & { readonly describe?: (result: ProcessResult) => KilnError } = {},
): Promise<ProcessResult> {
  const result = await runProcess(command, args, options);
  if (result.exitCode === 0) return result;
  if (options.describe !== undefined) throw options.describe(result);
  throw new KilnError('nix-failed', `${command} ${args[0] ?? ''} ended with exit code ${result.exitCode}`, {
    where: result.stderr.trim().split('\n').slice(-12).join('\n'),
  });
}

function supervise(child: ChildProcess, command: string, options: RunOptions): Promise<ProcessResult> {
  return new Promise((resolve, reject) => {
    let ended: KilnError | undefined;
    let silence: NodeJS.Timeout | undefined;
    const keep = { stdout: collector(options.keepBytes), stderr: collector(options.keepBytes) };

    const end = (error: KilnError): void => {
      if (ended !== undefined) return;
      ended = error;
      if (child.pid !== undefined) void killTree(child.pid, options.graceMs ?? KILL_AFTER_MS);
    };
    const rearm = (): void => {
      if (options.silenceMs === undefined) return;
      clearTimeout(silence);
      silence = setTimeout(() => end(silentTooLong(command, options.silenceMs ?? 0)), options.silenceMs);
    };
    const onAbort = (): void => end(new KilnError('cancelled', `${command} was cancelled`));
    const deadline =
      options.deadlineMs === undefined
        ? undefined
        : setTimeout(() => end(timedOut(command, options.deadlineMs ?? 0)), options.deadlineMs);
    options.signal?.addEventListener('abort', onAbort, { once: true });
    rearm();

    const finish = (settle: () => void): void => {
      clearTimeout(deadline);
      clearTimeout(silence);
      options.signal?.removeEventListener('abort', onAbort);
      settle();
    };
    child.on('error', (error) => finish(() => reject(spawnFailure(command, error))));
    child.on('spawn', () => options.onStart?.(child.pid ?? 0));
    for (const name of ['stdout', 'stderr'] as const) {
      const stream = child[name];
      if (stream === null) continue;
      const lines =
        options.onLine === undefined ? undefined : splitLines((line) => options.onLine?.(line, name));
      stream.on('data', (chunk: Buffer) => {
        rearm();
        keep[name].add(chunk);
        lines?.write(chunk);
      });
      stream.on('end', () => lines?.end());
    }
    child.on('close', (code, signal) => {
      const exitCode = code ?? 128 + (signal === 'SIGKILL' ? 9 : signal === 'SIGTERM' ? 15 : 1);
      finish(() => {
        if (ended !== undefined) reject(ended);
        else resolve({ exitCode, stdout: keep.stdout.text(), stderr: keep.stderr.text() });
      });
    });
    child.stdin?.on('error', () => undefined); // the program may end without reading its input
    child.stdin?.end(options.stdin);
  });
}

function collector(limit = DEFAULT_KEEP_BYTES): { add(chunk: Buffer): void; text(): string } {
  const chunks: Buffer[] = [];
  let size = 0;
  return {
    add(chunk) {
      if (size >= limit) return;
      chunks.push(chunk.subarray(0, limit - size));
      size += chunk.length;
    },
    text: () => Buffer.concat(chunks).toString('utf8'),
  };
}

function spawnFailure(command: string, error: Error): KilnError {
  if (systemErrorCode(error) === 'ENOENT') {
    return new KilnError('tool-missing', `${command} is not installed or not on PATH`, {
      hint: `Install ${command}, or run \`kiln doctor\` to see what is missing.`,
      cause: error,
    });
  }
  return new KilnError('tool-missing', `${command} could not be started: ${error.message}`, { cause: error });
}

function timedOut(command: string, ms: number): KilnError {
  return new KilnError('timed-out', `${command} did not end within ${Math.round(ms / 1000)} s`);
}

function silentTooLong(command: string, ms: number): KilnError {
  return new KilnError('silent-too-long', `${command} printed nothing for ${Math.round(ms / 1000)} s`);
}
