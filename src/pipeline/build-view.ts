/** A build as it is shown: by `--json`, by the API, and by the library. */
import type { Failure } from '../base/error.ts';
import type { StartCheckResult } from '../image/start-check.ts';

export interface LayerView {
  readonly digest: string;
  /** Bytes of the tar. */
  readonly size: number;
  readonly paths: readonly string[];
}

export interface ImageView {
  readonly reference: string;
  readonly digest: string;
  /** Bytes of all layers. */
  readonly size: number;
  readonly layers: readonly LayerView[];
}

export interface StepView {
  readonly name: string;
  readonly status: string;
  readonly detail?: string;
  /** ISO 8601. */
  readonly startedAt?: string;
  readonly durationMs?: number;
  readonly reused?: boolean;
}

export interface BuildView {
  readonly id: string;
  readonly serviceId: string;
  readonly status: string;
  readonly attempt: number;
  readonly reason?: Failure;
  readonly source: {
    readonly kind: string;
    readonly url?: string;
    readonly commit?: string;
    readonly branch?: string;
    readonly template?: string;
  };
  readonly drvPath?: string;
  readonly outPaths: readonly string[];
  readonly image?: ImageView;
  readonly startChecks?: readonly StartCheckResult[];
  readonly steps: readonly StepView[];
  /** Place in the queue, 1 is next, and why it waits. */
  readonly queue?: { readonly position: number; readonly reason: string };
  readonly createdAt: string;
  readonly startedAt?: string;
  readonly endedAt?: string;
  readonly durationMs?: number;
}

/** What somebody who follows a build is told, in order. */
export type BuildEvent =
  | { readonly type: 'step'; readonly step: StepView }
  /** What a step is doing right now; not stored. */
  | { readonly type: 'activity'; readonly step: string; readonly text: string }
  | { readonly type: 'log'; readonly attempt: number; readonly line: LogLineView }
  | { readonly type: 'queue'; readonly position: number; readonly reason: string }
  /** About the following itself: the connection is lost, or there again. */
  | { readonly type: 'notice'; readonly text: string }
  | { readonly type: 'end'; readonly build: BuildView };

/** A line of a build's log: sequence numbers begin anew with each attempt. */
export interface LogPosition {
  readonly attempt: number;
  readonly sequence: number;
}

export interface LogLineView {
  readonly sequence: number;
  /** ISO 8601. */
  readonly at: string;
  readonly stream: string;
  readonly step?: string;
  readonly derivation?: string;
  readonly text: string;
}
