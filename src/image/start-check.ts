/** Proves that an image starts: runs it under an OCI runtime and asks it, before its tag may move. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { KilnError } from '../base/error.ts';
import { createBundle } from '../runtime/container-bundle.ts';
import { openGateway, type Gateway } from '../runtime/gateway.ts';
import { runContainer, type Container, type OciRuntime } from '../runtime/oci-runtime.ts';
import { handlesSignal } from '../runtime/handles-signal.ts';
import { listeningPorts } from '../runtime/listening-ports.ts';
import { probeHttp, type ProbeAnswer } from '../runtime/probe.ts';
import type { BundleContent } from '../runtime/container-bundle.ts';
import type { ContainerProcess } from '../runtime/runtime-spec.ts';
import { saysItsUsage } from './usage-text.ts';
import { explainStartFailure } from './explain-start-failure.ts';

/** What counts as started. */
export type StartExpectation =
  | { readonly kind: 'http'; readonly port: number; readonly path: string }
  | { readonly kind: 'tcp'; readonly port: number }
  /** Ends by itself with exit code 0. */
  | { readonly kind: 'exit' }
  /** Still runs after a while, or ended with exit code 0, or printed its usage. */
  | { readonly kind: 'alive' };

export type StartProfile = 'default' | 'strict';

export interface StartCheckInput {
  readonly content: BundleContent;
  readonly program: ContainerProcess;
  readonly expectation: StartExpectation;
  readonly profile: StartProfile;
  readonly runtime: OciRuntime;
  /** How long the program may take to answer. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  readonly onLine?: (line: string) => void;
}

/** Plain data; stored with the image. */
export interface StartCheckResult {
  readonly profile: StartProfile;
  readonly expectation: StartExpectation;
  readonly passed: boolean;
  /** `HTTP 200 after 84 ms`, `exit code 127` … */
  readonly detail: string;
  readonly durationMs: number;
  readonly exitCode?: number;
  /** Last lines the program printed. */
  readonly tail: readonly string[];
  /** Of a program that keeps running: it handles SIGTERM. Otherwise every runtime must kill it after its grace period. */
  readonly stopsOnSigterm?: boolean;
  /** Why it did not start and what to do, when it did not. */
  readonly reason?: string;
  readonly hint?: string;
}

/** An arbitrary user as hardened clusters assign it (field notes, images §6). */
const STRICT_USER = { uid: 1_000_730_000, gid: 0 };
const ALIVE_MS = 1500;
const POLL_MS = 10;

/** @throws KilnError cancelled, store-path-missing, image-failed (the runtime itself did not work) */
export async function checkStart(input: StartCheckInput): Promise<StartCheckResult> {
  const started = performance.now();
  const directory = await mkdtemp(join(tmpdir(), 'kiln-start-'));
  try {
    const program = input.profile === 'strict' ? { ...input.program, ...STRICT_USER } : input.program;
    await using bundle = await createBundle(directory, input.content, program, {
      profile: input.profile,
      network: 'loopback',
      hostname: 'kiln-check',
    });
    await using container = await runContainer(input.runtime, bundle, {
      ...(input.signal === undefined ? {} : { signal: input.signal }),
      graceMs: 0, // nothing of a check is worth saving
      onLine: (line) => input.onLine?.(line),
    });
    const verdict = await judge(container, input, directory);
    const runs = verdict.passed && verdict.exitCode === undefined;
    const pid = runs ? await container.pid : undefined;
    const stopsOnSigterm = pid === undefined ? undefined : await handlesSignal(pid, 'SIGTERM');
    const exit = await container.stop(0);
    input.signal?.throwIfAborted();
    const durationMs = Math.round(performance.now() - started);
    const base = { profile: input.profile, expectation: input.expectation, durationMs, tail: exit.tail };
    if (verdict.passed) {
      const stop = stopsOnSigterm === undefined ? {} : { stopsOnSigterm };
      return { ...base, passed: true, detail: verdict.detail, ...stop };
    }
    return {
      ...base,
      passed: false,
      detail: verdict.detail,
      ...(verdict.exitCode === undefined ? {} : { exitCode: verdict.exitCode }),
      ...explainStartFailure({ ...verdict, tail: exit.tail, program }),
    };
  } catch (error) {
    if (input.signal?.aborted)
      throw new KilnError('cancelled', 'the start-up check was cancelled', { cause: error });
    throw error;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

interface Verdict {
  readonly passed: boolean;
  readonly detail: string;
  readonly exitCode?: number;
}

async function judge(container: Container, input: StartCheckInput, directory: string): Promise<Verdict> {
  const ended = container.exited.then((exit): Verdict => {
    if (input.expectation.kind === 'alive' && saysItsUsage(exit.exitCode, exit.tail)) {
      const detail = `says how it is used (exit code ${exit.exitCode})`;
      return { passed: true, detail, exitCode: exit.exitCode };
    }
    const finishes = input.expectation.kind === 'exit' || input.expectation.kind === 'alive';
    return {
      passed: finishes && exit.exitCode === 0,
      detail: `exit code ${exit.exitCode}`,
      exitCode: exit.exitCode,
    };
  });
  const stop = new AbortController();
  const clock = (ms: number): Promise<void> =>
    sleep(ms, undefined, { signal: stop.signal }).catch(() => undefined);
  try {
    switch (input.expectation.kind) {
      case 'exit':
        return await Promise.race([
          ended,
          clock(input.timeoutMs).then(() => ({
            passed: false,
            detail: `still running after ${input.timeoutMs} ms`,
          })),
        ]);
      case 'alive':
        return await Promise.race([
          ended,
          waitForPort(container, undefined, ALIVE_MS, stop.signal),
          clock(ALIVE_MS).then(() => ({ passed: true, detail: `still running after ${ALIVE_MS} ms` })),
        ]);
      case 'tcp':
        return await Promise.race([
          ended,
          waitForPort(container, input.expectation.port, input.timeoutMs, stop.signal),
        ]);
      case 'http':
        return await Promise.race([
          ended,
          probeUntil(container, input, input.expectation, directory, stop.signal),
        ]);
    }
  } finally {
    stop.abort();
  }
}

/** Passes as soon as the program listens, on `port` or, without one, on any: the kernel answers for it from then on. */
async function waitForPort(
  container: Container,
  port: number | undefined,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Verdict> {
  const started = performance.now();
  const elapsed = (): number => Math.round(performance.now() - started);
  const pid = await container.pid;
  if (pid === undefined) return await nothing();
  let open: number[] = [];
  while (!signal.aborted && elapsed() < timeoutMs) {
    open = await listeningPorts(pid);
    const found = port === undefined ? open[0] : open.find((candidate) => candidate === port);
    if (found !== undefined)
      return { passed: true, detail: `listens on port ${found} after ${elapsed()} ms` };
    await sleep(POLL_MS);
  }
  if (port === undefined) return await nothing();
  const instead = open.length === 0 ? '' : `; it listens on ${open.join(', ')}`;
  return {
    passed: false,
    detail: `nothing listens on port ${port} within ${Math.round(timeoutMs / 1000)} s${instead}`,
  };
}

/** Leaves the verdict to the other sides of a race. */
function nothing(): Promise<never> {
  return new Promise(() => undefined);
}

async function probeUntil(
  container: Container,
  input: StartCheckInput,
  expectation: Extract<StartExpectation, { kind: 'http' }>,
  directory: string,
  signal: AbortSignal,
): Promise<Verdict> {
  const started = performance.now();
  const pid = await container.pid;
  if (pid === undefined) return await nothing(); // it has ended: the other side of the race tells
  // The gateway costs a process; it is opened while the program starts.
  let gateway: Gateway;
  try {
    gateway = await openGateway(pid, expectation.port, directory);
  } catch (error) {
    await sleep(200); // a program that has just ended takes its network along; let its exit code speak
    throw error;
  }
  await using _gateway = gateway;
  let answer: ProbeAnswer = { ok: false, detail: 'not asked yet' };
  while (!signal.aborted && performance.now() - started < input.timeoutMs) {
    answer = await probeHttp(gateway.socketFile, expectation.path);
    if (answer.ok) {
      return { passed: true, detail: `${answer.detail} after ${Math.round(performance.now() - started)} ms` };
    }
    await sleep(POLL_MS);
  }
  return {
    passed: false,
    detail: `GET ${expectation.path} on port ${expectation.port}: ${answer.detail} within ${Math.round(input.timeoutMs / 1000)} s`,
  };
}
