/** Rows of the database as records. */
import type { Failure } from '../base/error.ts';
import type { Row } from '../db/database.ts';
import type { BuildOptions, SourceSpec } from '../source/source.ts';
import type {
  AttemptStatus,
  BuildAttempt,
  BuildRecord,
  BuildStatus,
  BuildStep,
  StepName,
  StepStatus,
} from './build-record.ts';

export interface BuildRow extends Row {
  id: string;
  number: number;
  service_id: string;
  organization_id: string | null;
  slug: string;
  source: SourceSpec;
  options: BuildOptions;
  settings: Record<string, unknown>;
  status: BuildStatus;
  reason: Failure | null;
  attempt: number;
  machine_failures: number;
  worker_losses: number;
  timeout_seconds: number;
  silence_seconds: number;
  waiting_for: string | null;
  worker_id: string | null;
  commit_sha: string | null;
  branch: string | null;
  content_key: string | null;
  drv_path: string | null;
  out_paths: string[];
  image_reference: string | null;
  image_digest: string | null;
  image_size: number | null;
  artifact_size: number | null;
  details: Record<string, unknown>;
  evaluation_reused: boolean;
  build_reused: boolean;
  image_reused: boolean;
  deployed: boolean;
  created_at: Date;
  queued_at: Date;
  started_at: Date | null;
  ended_at: Date | null;
}

export function toRecord(row: BuildRow): BuildRecord {
  return {
    id: row.id,
    number: row.number,
    serviceId: row.service_id,
    organizationId: row.organization_id ?? undefined,
    slug: row.slug,
    source: row.source,
    options: row.options,
    settings: row.settings,
    status: row.status,
    reason: row.reason ?? undefined,
    attempt: row.attempt,
    timeoutSeconds: row.timeout_seconds,
    silenceSeconds: row.silence_seconds,
    waitingFor: row.waiting_for ?? undefined,
    workerId: row.worker_id ?? undefined,
    commitSha: row.commit_sha ?? undefined,
    branch: row.branch ?? undefined,
    contentKey: row.content_key ?? undefined,
    drvPath: row.drv_path ?? undefined,
    outPaths: row.out_paths,
    imageReference: row.image_reference ?? undefined,
    imageDigest: row.image_digest ?? undefined,
    imageSize: row.image_size ?? undefined,
    artifactSize: row.artifact_size ?? undefined,
    details: row.details,
    evaluationReused: row.evaluation_reused,
    buildReused: row.build_reused,
    imageReused: row.image_reused,
    deployed: row.deployed,
    createdAt: row.created_at,
    queuedAt: row.queued_at,
    ...period(row),
  };
}

export interface StepRow extends Row {
  name: StepName;
  status: StepStatus;
  started_at: Date | null;
  ended_at: Date | null;
  detail: string | null;
  reason: Failure | null;
  reused: boolean;
}

export function toStep(row: StepRow): BuildStep {
  return {
    name: row.name,
    status: row.status,
    detail: row.detail ?? undefined,
    reason: row.reason ?? undefined,
    reused: row.reused,
    ...period(row),
  };
}

export interface AttemptRow extends Row {
  attempt: number;
  status: AttemptStatus;
  reason: Failure | null;
  worker_id: string;
  started_at: Date;
  ended_at: Date | null;
  log_lines: number;
  log_bytes: number;
  log_omitted_bytes: number;
  log_closed: boolean;
}

export function toAttempt(row: AttemptRow): BuildAttempt {
  return {
    attempt: row.attempt,
    status: row.status,
    reason: row.reason ?? undefined,
    workerId: row.worker_id,
    logLines: row.log_lines,
    logBytes: row.log_bytes,
    logOmittedBytes: row.log_omitted_bytes,
    logClosed: row.log_closed,
    ...period(row),
    startedAt: row.started_at,
  };
}

function period(row: { started_at: Date | null; ended_at: Date | null }): {
  startedAt?: Date;
  endedAt?: Date;
  durationMs?: number;
} {
  if (row.started_at === null) return { endedAt: row.ended_at ?? undefined };
  if (row.ended_at === null) return { startedAt: row.started_at };
  const durationMs = Math.max(0, row.ended_at.getTime() - row.started_at.getTime());
  return { startedAt: row.started_at, endedAt: row.ended_at, durationMs };
}
