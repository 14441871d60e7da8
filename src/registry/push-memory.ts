/** What the push client remembers between pushes: what registries hold, and how layers came out encoded. */
import type { OciDigest } from '../base/brand.ts';
import type { Queryable } from '../db/database.ts';

export interface EncodedBlob {
  readonly digest: OciDigest;
  readonly size: number;
}

export interface PushMemory {
  /** Seen there within the last day. */
  isPresent(registry: string, repository: string, digest: OciDigest): Promise<boolean>;
  /** Another repository of the registry that was seen to hold the blob. */
  presentElsewhere(registry: string, repository: string, digest: OciDigest): Promise<string | undefined>;
  recordPresent(registry: string, repository: string, digest: OciDigest): Promise<void>;
  /** The memory was wrong about this repository. */
  forget(registry: string, repository: string): Promise<void>;
  encoded(diffId: OciDigest, encoder: string): Promise<EncodedBlob | undefined>;
  recordEncoded(diffId: OciDigest, encoder: string, blob: EncodedBlob): Promise<void>;
}

const FRESH = `seen_at > now() - interval '24 hours'`;

export function databasePushMemory(db: Queryable): PushMemory {
  return {
    async isPresent(registry, repository, digest) {
      const rows = await db.query(
        `select 1 from registry_presence where registry = $1 and repository = $2 and digest = $3 and ${FRESH}`,
        [registry, repository, digest],
      );
      return rows.length > 0;
    },
    async presentElsewhere(registry, repository, digest) {
      const [row] = await db.query<{ repository: string }>(
        `select repository from registry_presence where registry = $1 and digest = $3 and repository <> $2 and ${FRESH}
          order by seen_at desc limit 1`,
        [registry, repository, digest],
      );
      return row?.repository;
    },
    async recordPresent(registry, repository, digest) {
      await db.query(
        `insert into registry_presence (registry, repository, digest) values ($1, $2, $3)
         on conflict (registry, repository, digest) do update set seen_at = now()`,
        [registry, repository, digest],
      );
    },
    async forget(registry, repository) {
      await db.query('delete from registry_presence where registry = $1 and repository = $2', [
        registry,
        repository,
      ]);
    },
    async encoded(diffId, encoder) {
      const [row] = await db.query<{ digest: OciDigest; size: number }>(
        'select digest, size from encoded_blobs where diff_id = $1 and encoder = $2',
        [diffId, encoder],
      );
      return row === undefined ? undefined : { digest: row.digest, size: row.size };
    },
    async recordEncoded(diffId, encoder, blob) {
      await db.query(
        `insert into encoded_blobs (diff_id, encoder, digest, size) values ($1, $2, $3, $4)
         on conflict (diff_id, encoder) do update set digest = excluded.digest, size = excluded.size`,
        [diffId, encoder, blob.digest, blob.size],
      );
    },
  };
}

/** For a process without a database: remembers nothing, asks every time. */
export const noPushMemory: PushMemory = {
  isPresent: () => Promise.resolve(false),
  presentElsewhere: () => Promise.resolve(undefined),
  recordPresent: () => Promise.resolve(),
  forget: () => Promise.resolve(),
  encoded: () => Promise.resolve(undefined),
  recordEncoded: () => Promise.resolve(),
};
