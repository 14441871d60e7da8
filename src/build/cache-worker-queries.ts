/** SQL for the cache settings of workers. */
import type { Queryable } from '../db/database.ts';
import { toJsonb } from '../db/jsonb.ts';

export interface CacheWorker {
  readonly workerId: string;
  /** Binary cache that its builds ask first. */
  readonly cacheUrl?: string;
  /** `name:base64`, keys whose signatures that cache may carry. */
  readonly publicKeys: readonly string[];
  /** What was cached for it stays, in its store and in its local cache folder. */
  readonly localCache: boolean;
  readonly configuredAt: Date;
}

interface CacheWorkerRow {
  readonly worker_id: string;
  readonly cache_url: string | null;
  readonly public_keys: string[];
  readonly local_cache: boolean;
  readonly configured_at: Date;
  [column: string]: unknown;
}

/** Replaces what was configured for the worker before. */
export async function saveCacheWorker(
  db: Queryable,
  worker: Omit<CacheWorker, 'configuredAt'>,
): Promise<CacheWorker> {
  const rows = await db.query<CacheWorkerRow>(
    `insert into cache_workers (worker_id, cache_url, public_keys, local_cache) values ($1, $2, $3, $4)
     on conflict (worker_id) do update set cache_url = excluded.cache_url, public_keys = excluded.public_keys,
       local_cache = excluded.local_cache, configured_at = now()
     returning *`,
    [worker.workerId, worker.cacheUrl, toJsonb(worker.publicKeys), worker.localCache],
  );
  return rows.map(toWorker)[0] ?? { ...worker, configuredAt: new Date() };
}

/** By identifier. */
export async function listCacheWorkers(db: Queryable): Promise<CacheWorker[]> {
  return (await db.query<CacheWorkerRow>('select * from cache_workers order by worker_id')).map(toWorker);
}

function toWorker(row: CacheWorkerRow): CacheWorker {
  return {
    workerId: row.worker_id,
    ...(row.cache_url === null ? {} : { cacheUrl: row.cache_url }),
    publicKeys: row.public_keys,
    localCache: row.local_cache,
    configuredAt: row.configured_at,
  };
}
