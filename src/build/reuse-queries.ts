/** SQL for reuse by content (DESIGN §4): content key → derivation → result → image. */
import type { Failure } from '../base/error.ts';
import type { Queryable } from '../db/database.ts';
import { toJsonb } from '../db/jsonb.ts';

export interface KnownEvaluation {
  readonly drvPath: string;
  /** Output name → store path. */
  readonly outputs: Readonly<Record<string, string>>;
  /** What the expression says of its result, as plain data. */
  readonly facts: Readonly<Record<string, unknown>>;
}

export async function findEvaluation(
  db: Queryable,
  contentKey: string,
): Promise<KnownEvaluation | undefined> {
  const [row] = await db.query<{
    drv_path: string;
    outputs: Record<string, string>;
    facts: Record<string, unknown>;
  }>('update evaluations set used_at = now() where content_key = $1 returning drv_path, outputs, facts', [
    contentKey,
  ]);
  return row === undefined ? undefined : { drvPath: row.drv_path, outputs: row.outputs, facts: row.facts };
}

export async function saveEvaluation(
  db: Queryable,
  contentKey: string,
  known: KnownEvaluation,
): Promise<void> {
  await db.query(
    `insert into evaluations (content_key, drv_path, outputs, facts) values ($1, $2, $3, $4)
     on conflict (content_key) do update
       set drv_path = excluded.drv_path, outputs = excluded.outputs, facts = excluded.facts, used_at = now()`,
    [contentKey, known.drvPath, toJsonb(known.outputs), toJsonb(known.facts)],
  );
}

/** Only results of builders are remembered: an attempt that the machine aborted says nothing about a derivation. */
export type KnownDerivation =
  | {
      readonly status: 'success';
      readonly outPaths: readonly string[];
      readonly durationMs?: number;
      readonly buildId?: string;
    }
  | { readonly status: 'failed'; readonly reason: Failure; readonly buildId?: string };

interface DerivationRow {
  readonly status: 'success' | 'failed';
  readonly reason: Failure | null;
  readonly out_paths: string[];
  readonly duration_ms: number | null;
  readonly build_id: string | null;
  [column: string]: unknown;
}

export async function findDerivation(db: Queryable, drvPath: string): Promise<KnownDerivation | undefined> {
  const [row] = await db.query<DerivationRow>('select * from derivations where drv_path = $1', [drvPath]);
  if (row === undefined) return undefined;
  const buildId = row.build_id ?? undefined;
  if (row.status === 'success') {
    return { status: 'success', outPaths: row.out_paths, durationMs: row.duration_ms ?? undefined, buildId };
  }
  const reason = row.reason ?? { code: 'build-failed', message: 'The builder failed' };
  return { status: 'failed', reason, buildId };
}

export async function saveDerivation(db: Queryable, drvPath: string, known: KnownDerivation): Promise<void> {
  const success = known.status === 'success';
  await db.query(
    `insert into derivations (drv_path, status, reason, out_paths, duration_ms, build_id)
     values ($1, $2, $3, $4, $5, $6)
     on conflict (drv_path) do update set status = excluded.status, reason = excluded.reason,
       out_paths = excluded.out_paths, duration_ms = excluded.duration_ms, build_id = excluded.build_id, updated_at = now()`,
    [
      drvPath,
      known.status,
      success ? undefined : toJsonb(known.reason),
      toJsonb(success ? known.outPaths : []),
      success ? known.durationMs : undefined,
      known.buildId,
    ],
  );
}

export interface KnownImage {
  readonly digest: string;
  /** Bytes of all layers. */
  readonly size: number;
  readonly details: Readonly<Record<string, unknown>>;
}

/** `imageKey` covers the closure and everything that shapes the image. */
export async function findImage(db: Queryable, imageKey: string): Promise<KnownImage | undefined> {
  const [row] = await db.query<{ digest: string; size: number; details: Record<string, unknown> }>(
    'update closure_images set used_at = now() where image_key = $1 returning digest, size, details',
    [imageKey],
  );
  return row;
}

export async function saveImage(db: Queryable, imageKey: string, image: KnownImage): Promise<void> {
  await db.query(
    `insert into closure_images (image_key, digest, size, details) values ($1, $2, $3, $4)
     on conflict (image_key) do update
       set digest = excluded.digest, size = excluded.size, details = excluded.details, used_at = now()`,
    [imageKey, image.digest, image.size, toJsonb(image.details)],
  );
}

/** Forgets evaluations and images that nothing asked for in that time. @returns how many */
export async function forgetUnused(db: Queryable, olderThanDays: number): Promise<number> {
  let count = 0;
  for (const table of ['evaluations', 'closure_images']) {
    const rows = await db.query(
      `delete from ${table} where used_at < now() - make_interval(days => $1) returning 1`,
      [olderThanDays],
    );
    count += rows.length;
  }
  return count;
}
