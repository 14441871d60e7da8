/** Runs a bundle under crun or runc and tells when its process has started and how it ended. */
import { randomBytes } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { runProcess, type OutputStream } from '../process/run-process.ts';
import type { Bundle } from './container-bundle.ts';

/** An OCI runtime program on this machine. */
export interface OciRuntime {
  readonly name: 'crun' | 'runc';
  /** Path of the executable. */
  readonly path: string;
}

export interface RunContainerOptions {
  readonly signal?: AbortSignal;
  /** Milliseconds between SIGTERM and SIGKILL when `signal` is aborted. Default 5000. */
  readonly graceMs?: number;
  readonly onLine?: (line: string, stream: OutputStream) => void;
}

export interface ContainerExit {
  readonly exitCode: number;
  /** Last lines of both streams, oldest first. */
  readonly tail: readonly string[];
}

export interface Container extends AsyncDisposable {
  readonly id: string;
  /** Host process of the container's first process; undefined when it ended before it was seen. */
  readonly pid: Promise<number | undefined>;
  /** Settles when the process has ended; never rejects. */
  readonly exited: Promise<ContainerExit>;
  /** SIGTERM, then SIGKILL after `graceMs`. Resolves when the container is gone. */
  stop(graceMs?: number): Promise<ContainerExit>;
}

const TAIL_LINES = 60;
const STOP_GRACE_MS = 5000;

/** Starts the container; disposing it ends its process and removes its state. */
export async function runContainer(
  runtime: OciRuntime,
  bundle: Bundle,
  options: RunContainerOptions = {},
): Promise<Container> {
  const id = `kiln-${randomBytes(6).toString('hex')}`;
  const state = join(bundle.directory, 'state');
  await mkdir(state, { mode: 0o700 });
  const pidFile = join(bundle.directory, 'pid');
  const global = [...managerOptions(runtime), '--root', state];
  const tail: string[] = [];
  let ended = false;

  const exited: Promise<ContainerExit> = runProcess(
    runtime.path,
    [...global, 'run', '--bundle', bundle.directory, '--pid-file', pidFile, id],
    {
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      ...(options.graceMs === undefined ? {} : { graceMs: options.graceMs }),
      onLine: (line, stream) => {
        tail.push(line);
        if (tail.length > TAIL_LINES) tail.shift();
        options.onLine?.(line, stream);
      },
    },
  )
    .then(
      (result) => ({ exitCode: result.exitCode, tail }),
      (error: unknown) => ({ exitCode: 125, tail: [...tail, String(error)] }),
    )
    .finally(() => {
      ended = true;
    });

  const remove = async (): Promise<void> => {
    await runProcess(runtime.path, [...global, 'delete', '--force', id]).catch(() => undefined);
  };
  const signalContainer = async (name: string): Promise<void> => {
    await runProcess(runtime.path, [...global, 'kill', id, name]).catch(() => undefined);
  };
  return {
    id,
    pid: readPid(pidFile, () => ended),
    exited,
    async stop(graceMs = STOP_GRACE_MS) {
      if (!ended) await signalContainer('TERM');
      await Promise.race([exited, sleep(graceMs, undefined, { ref: false })]);
      if (!ended) await signalContainer('KILL');
      const exit = await exited;
      await remove();
      return exit;
    },
    async [Symbol.asyncDispose]() {
      if (!ended) await signalContainer('KILL');
      await exited;
      await remove();
    },
  };
}

/** cgroups are not needed to start a program, and cannot be made everywhere (in a container, without root). */
function managerOptions(runtime: OciRuntime): string[] {
  return runtime.name === 'crun' ? ['--cgroup-manager=disabled'] : [];
}

async function readPid(file: string, ended: () => boolean): Promise<number | undefined> {
  for (;;) {
    const text = await readFile(file, 'utf8').catch(() => '');
    if (/^\d+\n?$/.test(text)) return Number(text);
    if (ended()) return undefined;
    await sleep(3);
  }
}
