/** What the execution of a build is given: its signal, its steps, its log, and places to leave what it found. */
import type { Secret } from '../base/secret.ts';
import type { BuildFacts, BuildRecord, StepName } from './build-record.ts';
import type { LineContext } from './log-writer.ts';
import type { StepHandle } from './step-tracker.ts';

export interface BuildContext {
  /** Aborted with a KilnError as reason: cancelled, timed-out, or the worker stops. */
  readonly signal: AbortSignal;
  /** Milliseconds without output after which a tool is to be ended. */
  readonly silenceMs: number;
  /** Runs `work` as one of the seven steps. */
  step<T>(name: StepName, work: (step: StepHandle) => Promise<T>): Promise<T>;
  /** Marks a step as not needed. */
  skipStep(name: StepName, detail: string): Promise<void>;
  /** Adds lines to the attempt's log; the step that runs is noted with them unless `context` names another. */
  log(text: string, context?: LineContext): void;
  /** Values that no line of the log may show from now on. */
  hide(secrets: readonly (Secret | string | undefined)[]): void;
  /** Marks programs as this attempt's, so that they are found after a crash of this process; `runProcess` adds it by itself. */
  readonly environment: Readonly<Record<string, string>>;
  /** Notes a program that was started, so that it can be ended after a crash of this process. */
  recordProcess(pid: number): void;
  /** Stores what is known so far. */
  record(facts: BuildFacts): Promise<void>;
  /** Runs `work` while no other build has this derivation; `waited` tells that another one had. */
  withDerivation<T>(drvPath: string, work: (waited: boolean) => Promise<T>): Promise<T>;
}

/** Does the work of a build. What it returns is stored with the success; what it throws is the reason of the failure. */
export type ExecuteBuild = (build: BuildRecord, context: BuildContext) => Promise<BuildFacts>;
