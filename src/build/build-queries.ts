/** SQL for the records of builds. */
import { KilnError } from '../base/error.ts';
import type { Queryable, Row } from '../db/database.ts';
import { toJsonb } from '../db/jsonb.ts';
import type { BuildAttempt, BuildFacts, BuildRecord, BuildStatus, BuildStep } from './build-record.ts';
import { toAttempt, toRecord, toStep, type AttemptRow, type BuildRow, type StepRow } from './build-row.ts';

/** Notified with the build's identifier whenever its record, a step or its place changes. */
export const BUILD_CHANGED = 'build_changed';

export interface NewBuildRow {
  readonly id: string;
  readonly serviceId: string;
  readonly organizationId: string | undefined;
  readonly slug: string;
  readonly source: unknown;
  readonly options: unknown;
  readonly settings: unknown;
  readonly supersedeKey: string | undefined;
  readonly branch: string | undefined;
  readonly timeoutSeconds: number;
  readonly silenceSeconds: number;
}

export async function insertBuild(db: Queryable, build: NewBuildRow): Promise<BuildRecord> {
  const rows = await db.query<BuildRow>(
    `insert into builds (id, service_id, organization_id, slug, source, options, settings, supersede_key, branch,
       timeout_seconds, silence_seconds)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) returning *`,
    [
      build.id,
      build.serviceId,
      build.organizationId,
      build.slug,
      toJsonb(build.source),
      toJsonb(build.options),
      toJsonb(build.settings),
      build.supersedeKey,
      build.branch,
      build.timeoutSeconds,
      build.silenceSeconds,
    ],
  );
  return toRecord(only(rows));
}

/** @throws KilnError not-found */
export async function getBuild(db: Queryable, id: string): Promise<BuildRecord> {
  const [row] = await db.query<BuildRow>('select * from builds where id = $1', [id]);
  if (row === undefined) throw buildNotFound(id);
  return toRecord(row);
}

export function buildNotFound(id: string): KilnError {
  return new KilnError('not-found', `There is no build ${id}`, {
    hint: 'List the builds with `kiln builds`.',
  });
}

export interface BuildSelection {
  readonly serviceId?: string;
  readonly status?: BuildStatus;
  /** Only builds with a smaller number: the next page. */
  readonly before?: number;
  /** Default 50. */
  readonly limit?: number;
}

/** Newest first. */
export async function listBuilds(db: Queryable, selection: BuildSelection = {}): Promise<BuildRecord[]> {
  const rows = await db.query<BuildRow>(
    `select * from builds
     where ($1::text is null or service_id = $1) and ($2::text is null or status = $2)
       and ($3::bigint is null or number < $3)
     order by number desc limit $4`,
    [selection.serviceId, selection.status, selection.before, selection.limit ?? 50],
  );
  return rows.map(toRecord);
}

/** Oldest first. */
export async function listAttempts(db: Queryable, buildId: string): Promise<BuildAttempt[]> {
  const rows = await db.query<AttemptRow>(
    'select * from build_attempts where build_id = $1 order by attempt',
    [buildId],
  );
  return rows.map(toAttempt);
}

/** In the order of the flow; empty before the attempt began. */
export async function listSteps(db: Queryable, buildId: string, attempt: number): Promise<BuildStep[]> {
  const rows = await db.query<StepRow>(
    'select * from build_steps where build_id = $1 and attempt = $2 order by position',
    [buildId, attempt],
  );
  return rows.map(toStep);
}

const FACT_COLUMNS = {
  commitSha: 'commit_sha',
  branch: 'branch',
  contentKey: 'content_key',
  drvPath: 'drv_path',
  imageReference: 'image_reference',
  imageDigest: 'image_digest',
  imageSize: 'image_size',
  artifactSize: 'artifact_size',
  evaluationReused: 'evaluation_reused',
  buildReused: 'build_reused',
  imageReused: 'image_reused',
} as const satisfies Partial<Record<keyof BuildFacts, string>>;

/** Stores what is given of `facts` for a running attempt. @returns false when the attempt is not the worker's any more */
export async function updateFacts(db: Queryable, run: RunKey, facts: BuildFacts): Promise<boolean> {
  const sets: string[] = [];
  const values: unknown[] = [run.buildId, run.workerId, run.attempt];
  const set = (column: string, value: unknown, expression = (at: string): string => at): void => {
    values.push(value);
    sets.push(`${column} = ${expression(`$${values.length}`)}`);
  };
  for (const [field, column] of Object.entries(FACT_COLUMNS)) {
    const value = facts[field as keyof typeof FACT_COLUMNS];
    if (value !== undefined) set(column, value);
  }
  if (facts.outPaths !== undefined) set('out_paths', toJsonb(facts.outPaths), (at) => `${at}::jsonb`);
  if (facts.details !== undefined) set('details', toJsonb(facts.details), (at) => `details || ${at}::jsonb`);
  if (sets.length === 0) return true;
  const rows = await db.query(
    `update builds set ${sets.join(', ')}
     where id = $1 and worker_id = $2 and attempt = $3 and status = 'building' returning id`,
    values,
  );
  return rows.length > 0;
}

/** Names one attempt in the hands of one worker: what it writes counts only while both still hold. */
export interface RunKey {
  readonly buildId: string;
  readonly attempt: number;
  readonly workerId: string;
}

export async function setWaitingFor(db: Queryable, run: RunKey, waitingFor: string | null): Promise<void> {
  await db.query(
    `update builds set waiting_for = $4 where id = $1 and worker_id = $2 and attempt = $3 and status = 'building'`,
    [run.buildId, run.workerId, run.attempt, waitingFor],
  );
  await notifyChanged(db, run.buildId);
}

/** Deployed builds are kept by the clean-up. */
export async function setDeployed(db: Queryable, buildId: string, deployed: boolean): Promise<void> {
  const rows = await db.query('update builds set deployed = $2 where id = $1 returning id', [
    buildId,
    deployed,
  ]);
  if (rows.length === 0) throw buildNotFound(buildId);
}

export async function notifyChanged(db: Queryable, buildId: string): Promise<void> {
  await db.query('select pg_notify($1, $2)', [BUILD_CHANGED, buildId]);
}

function only<T extends Row>(rows: readonly T[]): T {
  const [row] = rows;
  if (row === undefined) throw new Error('The database gave no row back');
  return row;
}
