/** A build as it is stored: what was asked, where it stands, what came out. */
import { randomBytes } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import type { Failure } from '../base/error.ts';
import type { BuildOptions, SourceSpec } from '../source/source.ts';

export type BuildStatus = 'pending' | 'building' | 'success' | 'failed' | 'cancelled';
/** `aborted`: ended for the machine's reasons, says nothing about the build. */
export type AttemptStatus = 'building' | 'success' | 'failed' | 'cancelled' | 'aborted';
export type StepStatus = 'pending' | 'running' | 'success' | 'failed' | 'cancelled' | 'aborted' | 'skipped';

/** The flow of a build, in order. */
export const STEP_NAMES = [
  'initiate',
  'source',
  'dependencies',
  'build',
  'image',
  'push',
  'complete',
] as const;
export type StepName = (typeof STEP_NAMES)[number];

export const DEFAULT_BUILD_TIMEOUT_S = 1800;
export const MAX_BUILD_TIMEOUT_S = 3600;
export const DEFAULT_SILENCE_TIMEOUT_S = 600;

/** What a build found out; filled in as it goes. Sizes are bytes. */
export interface BuildFacts {
  readonly commitSha?: string;
  readonly branch?: string;
  readonly contentKey?: string;
  readonly drvPath?: string;
  readonly outPaths?: readonly string[];
  readonly imageReference?: string;
  readonly imageDigest?: string;
  readonly imageSize?: number;
  /** NAR size of the closure that was built. */
  readonly artifactSize?: number;
  /** The derivation was known for the content key. */
  readonly evaluationReused?: boolean;
  /** The outputs were there before. */
  readonly buildReused?: boolean;
  /** The image was known for the closure. */
  readonly imageReused?: boolean;
  /** Further facts as plain data; keys given later replace those given before. */
  readonly details?: Readonly<Record<string, unknown>>;
}

export interface BuildRecord extends BuildFacts {
  readonly id: string;
  /** 1, 2, 3 … over the whole installation. */
  readonly number: number;
  readonly serviceId: string;
  readonly organizationId?: string;
  readonly slug: string;
  readonly source: SourceSpec;
  readonly options: BuildOptions;
  /** What is to become of the result, as the pipeline stored it. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly status: BuildStatus;
  /** Why it failed or was cancelled, or why a pending build is tried again. */
  readonly reason?: Failure;
  /** The attempt that runs or ran last; 0 before the first. */
  readonly attempt: number;
  readonly timeoutSeconds: number;
  readonly silenceSeconds: number;
  /** What a running build waits for, in words. */
  readonly waitingFor?: string;
  readonly workerId?: string;
  readonly outPaths: readonly string[];
  readonly details: Readonly<Record<string, unknown>>;
  readonly evaluationReused: boolean;
  readonly buildReused: boolean;
  readonly imageReused: boolean;
  readonly deployed: boolean;
  readonly createdAt: Date;
  /** Of the last request: the creation or a retry. */
  readonly queuedAt: Date;
  /** Of the last attempt. */
  readonly startedAt?: Date;
  readonly endedAt?: Date;
  /** Of the last attempt, in milliseconds, once it ended. */
  readonly durationMs?: number;
}

export interface BuildAttempt {
  readonly attempt: number;
  readonly status: AttemptStatus;
  readonly reason?: Failure;
  readonly workerId: string;
  readonly startedAt: Date;
  readonly endedAt?: Date;
  readonly durationMs?: number;
  readonly logLines: number;
  /** Bytes of text before compression, with what the size limit left out. */
  readonly logBytes: number;
  readonly logOmittedBytes: number;
  /** No more lines will come. */
  readonly logClosed: boolean;
}

export interface BuildStep {
  readonly name: StepName;
  readonly status: StepStatus;
  readonly startedAt?: Date;
  readonly endedAt?: Date;
  readonly durationMs?: number;
  readonly detail?: string;
  readonly reason?: Failure;
  readonly reused: boolean;
}

const ALPHABET = '0123456789abcdefghjkmnpqrstvwxyz';

/** `build-` and 15 characters of Crockford's base 32: 9 of the time (sorts as text until the year 3084), 6 random. */
export function newBuildId(clock: Clock): string {
  let time = '';
  for (let rest = clock.now(), at = 0; at < 9; at++) {
    time = ALPHABET.charAt(rest % 32) + time;
    rest = Math.floor(rest / 32);
  }
  const random = [...randomBytes(6)].map((byte) => ALPHABET.charAt(byte % 32)).join('');
  return `build-${time}${random}`;
}

export function isEnded(status: BuildStatus): boolean {
  return status !== 'pending' && status !== 'building';
}
