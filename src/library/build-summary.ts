/** A build as the public classes give it. */
import type { Failure } from '../base/error.ts';
import type { BuildRecord, BuildStatus } from '../build/build-record.ts';
import type { BuildState } from '../build/watch-build.ts';
import type { StepView } from '../pipeline/build-view.ts';
import { viewSteps } from '../pipeline/view-build.ts';

/** Times are ISO 8601 in UTC, durations seconds, sizes bytes. */
export interface BuildSummary {
  readonly buildId: string;
  readonly serviceId: string;
  readonly organizationId?: string;
  /** `pending` (waits in the queue), `building`, `success`, `failed`, `cancelled`. */
  readonly status: BuildStatus;
  /** True for `success` alone. */
  readonly success: boolean;
  /** 1 for the first, more after automatic or asked-for retries; 0 while it waits for the first. */
  readonly attempt: number;
  /** The step that runs: initiate, source, dependencies, build, image, push or complete. */
  readonly currentStep?: string;
  readonly steps: readonly StepView[];
  /** Place in the queue, 1 is next. */
  readonly queuePosition?: number;
  /** Why it waits, in words. */
  readonly waitingFor?: string;
  /** The first of `outPaths`: the store path that `result` would point to. */
  readonly nixResultPath?: string;
  readonly outPaths: readonly string[];
  readonly drvPath?: string;
  /** Size of the result with everything that it needs. */
  readonly artifactSize?: number;
  /** `host:port/name:tag` in the embedded registry. */
  readonly imageReference?: string;
  /** `sha256:…` of the image's manifest. */
  readonly imageDigest?: string;
  readonly imageSize?: number;
  /** Of a repository that was built. */
  readonly commitSha?: string;
  readonly branch?: string;
  readonly createdAt: string;
  readonly startedAt?: string;
  readonly endedAt?: string;
  /** Of the last attempt. */
  readonly duration?: number;
  /** What happened, where (position and source line), and what to do, as text to show. */
  readonly error?: string;
  /** The same in parts, with an error code; `fields` has file, line, column and sourceLine where they are known. */
  readonly reason?: Failure;
}

export interface BuildResult extends BuildSummary {
  /** Log of the last attempt, one line each, both streams in order. */
  readonly logs: readonly string[];
}

export function summarise(state: BuildState): BuildSummary {
  const { build, steps, place } = state;
  const running = steps.find((step) => step.status === 'running');
  return {
    buildId: build.id,
    serviceId: build.serviceId,
    status: build.status,
    success: build.status === 'success',
    attempt: build.attempt,
    steps: viewSteps(steps),
    outPaths: build.outPaths,
    createdAt: build.createdAt.toISOString(),
    ...given({
      organizationId: build.organizationId,
      currentStep: running?.name,
      queuePosition: place?.position,
      waitingFor: place?.reason,
      nixResultPath: build.outPaths[0],
      drvPath: build.drvPath,
      artifactSize: build.artifactSize,
      imageReference: build.imageReference,
      imageDigest: build.imageDigest,
      imageSize: build.imageSize,
      commitSha: build.commitSha,
      branch: build.branch,
      startedAt: build.startedAt?.toISOString(),
      endedAt: build.endedAt?.toISOString(),
      duration: build.durationMs === undefined ? undefined : build.durationMs / 1000,
      error: build.status === 'success' || build.reason === undefined ? undefined : failureText(build.reason),
      reason: build.status === 'success' ? undefined : build.reason,
    }),
  };
}

/** What happened, where, what to do: one below the other. */
export function failureText(failure: Failure): string {
  return [failure.message, failure.where, failure.hint]
    .filter((part) => part !== undefined && part !== '')
    .join('\n');
}

/** Where the result went: filled in by the push step. */
export function pushedOf(build: BuildRecord): {
  readonly tags: readonly string[];
  readonly pushedTo: readonly string[];
  readonly warnings: readonly string[];
} {
  const list = (key: string): string[] => {
    const value = build.details[key];
    return Array.isArray(value) ? value.map(String) : [];
  };
  return { tags: list('tags'), pushedTo: list('pushedTo'), warnings: list('warnings') };
}

/** Without the properties that are undefined. */
function given<T extends object>(values: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: NonNullable<T[K]>;
  };
}
