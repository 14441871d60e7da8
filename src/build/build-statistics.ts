/** SQL for figures about builds and for removing old ones. */
import type { Queryable } from '../db/database.ts';

export interface BuildStatistics {
  readonly totalBuilds: number;
  readonly successfulBuilds: number;
  readonly failedBuilds: number;
  readonly cancelledBuilds: number;
  /** Percent of the builds that ended as success or failure; 0 without any. */
  readonly successRate: number;
  /** Seconds, over successful builds. */
  readonly averageBuildTime: number;
  /** Bytes, over successful builds that know it. */
  readonly averageArtifactSize: number;
  /** Builds that wait. */
  readonly queueLength: number;
  /** Builds that run. */
  readonly running: number;
  /** Successful builds whose derivation was known before, or whose outputs were there. */
  readonly cacheHits: number;
  /** Percent of the successful builds. */
  readonly cacheHitRate: number;
}

interface StatisticsRow {
  readonly total: number;
  readonly success: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly seconds: number | null;
  readonly size: number | null;
  readonly pending: number;
  readonly running: number;
  readonly hits: number;
  [column: string]: unknown;
}

/** Of one service, or of all without `serviceId`. The release of a build that has a record of its own is not counted again. */
export async function getBuildStatistics(db: Queryable, serviceId?: string): Promise<BuildStatistics> {
  const [row] = await db.query<StatisticsRow>(
    `select count(*) as total,
       count(*) filter (where status = 'success') as success,
       count(*) filter (where status = 'failed') as failed,
       count(*) filter (where status = 'cancelled') as cancelled,
       avg(extract(epoch from ended_at - started_at)) filter (where status = 'success') as seconds,
       avg(artifact_size) filter (where status = 'success') as size,
       count(*) filter (where status = 'pending') as pending,
       count(*) filter (where status = 'building') as running,
       count(*) filter (where status = 'success' and (build_reused or evaluation_reused)) as hits
     from builds where ($1::text is null or service_id = $1) and not settings ? 'partOf'`,
    [serviceId],
  );
  if (row === undefined) throw new Error('An aggregate gave no row');
  return {
    totalBuilds: row.total,
    successfulBuilds: row.success,
    failedBuilds: row.failed,
    cancelledBuilds: row.cancelled,
    successRate: percent(row.success, row.success + row.failed),
    averageBuildTime: Math.round((row.seconds ?? 0) * 1000) / 1000,
    averageArtifactSize: Math.round(row.size ?? 0),
    queueLength: row.pending,
    running: row.running,
    cacheHits: row.hits,
    cacheHitRate: percent(row.hits, row.success),
  };
}

export interface CleanUp {
  /** Only builds that ended longer ago than this. */
  readonly olderThanDays: number;
  /** Of each service this many of the newest stay, whatever their age; default 10. */
  readonly keepNewest?: number;
}

/** Removes ended builds with their logs, but none that is marked deployed. @returns the identifiers */
export async function cleanUpBuilds(db: Queryable, cleanUp: CleanUp): Promise<string[]> {
  const rows = await db.query<{ id: string }>(
    `with ranked as (
       select id, row_number() over (partition by service_id order by number desc) as age_rank from builds)
     delete from builds b using ranked r
     where r.id = b.id and r.age_rank > $2 and b.status in ('success', 'failed', 'cancelled') and not b.deployed
       and b.ended_at < now() - make_interval(secs => $1::float8 * 86400)
     returning b.id`,
    [cleanUp.olderThanDays, cleanUp.keepNewest ?? 10],
  );
  return rows.map((row) => row.id);
}

function percent(part: number, whole: number): number {
  return whole === 0 ? 0 : Math.round((part / whole) * 1000) / 10;
}

/** Store paths that successful builds needed: found where they ran, or made (built or substituted) for them. */
export async function readReuse(db: Queryable): Promise<{ readonly found: number; readonly made: number }> {
  const [row] = await db.query<{ needed: number; made: number }>(
    `select coalesce(sum((details->>'closurePaths')::bigint), 0)::bigint as needed,
       coalesce(sum((details->>'built')::bigint + (details->>'substituted')::bigint), 0)::bigint as made
     from builds where status = 'success' and details ? 'closurePaths'`,
  );
  const { needed = 0, made = 0 } = row ?? {};
  return { found: Math.max(0, needed - made), made };
}
