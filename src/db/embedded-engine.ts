/** Starts PGlite with settings for a small database that must open fast. */
import type { PGlite, PGliteOptions } from '@electric-sql/pglite';

/**
 * The engine clears its shared buffers at every start: 128 MiB, the default, cost 200 ms of 650. `relaxedDurability` stays off,
 * so what was acknowledged is with the operating system and outlives SIGKILL. The import is dynamic, for those on PostgreSQL.
 */
export async function startEmbedded(options: PGliteOptions): Promise<PGlite> {
  const { PGlite: Engine } = await import('@electric-sql/pglite');
  const settings = [
    'shared_buffers=8MB',
    'max_connections=5',
    'wal_buffers=256kB',
    'min_wal_size=4MB',
    'max_wal_size=16MB',
    'autovacuum_worker_slots=1',
  ];
  return await Engine.create({
    ...options,
    relaxedDurability: false,
    startParams: [...Engine.defaultStartParams, ...settings.flatMap((setting) => ['-c', setting])],
    // Half the size of an empty data directory is one WAL segment of the default size.
    initDbStartParams: ['--wal-segsize=1'],
  });
}
