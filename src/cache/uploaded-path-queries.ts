/** The table of uploaded paths. */
import type { NarHash, StorePath } from '../base/brand.ts';
import type { Queryable } from '../db/database.ts';

export interface UploadedPath {
  readonly hashPart: string;
  readonly path: StorePath;
  /** SHA-256 of the stored file in hexadecimal. */
  readonly fileHash: string;
  readonly fileSize: number;
  readonly compression: string;
  readonly narHash: NarHash;
  readonly narSize: number;
  readonly references: readonly StorePath[];
  readonly deriver?: StorePath;
  readonly signatures: readonly string[];
  readonly ca?: string;
}

type PathRow = {
  hash_part: string;
  store_path: StorePath;
  file_hash: string;
  file_size: number;
  compression: string;
  nar_hash: NarHash;
  nar_size: number;
  refs: StorePath[];
  deriver: StorePath | null;
  signatures: string[];
  ca: string | null;
};

const COLUMNS =
  'hash_part, store_path, file_hash, file_size, compression, nar_hash, nar_size, refs, deriver, signatures, ca';

export async function findUploadedPath(db: Queryable, hashPart: string): Promise<UploadedPath | undefined> {
  const [row] = await db.query<PathRow>(`select ${COLUMNS} from cache_paths where hash_part = $1`, [
    hashPart,
  ]);
  return row === undefined ? undefined : toPath(row);
}

/** Inserts, or replaces what the hash part stood for. */
export async function saveUploadedPath(db: Queryable, path: UploadedPath, uploadedBy: string): Promise<void> {
  await db.query(
    `insert into cache_paths (${COLUMNS}, uploaded_by) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
     on conflict (hash_part) do update set store_path = excluded.store_path, file_hash = excluded.file_hash,
       file_size = excluded.file_size, compression = excluded.compression, nar_hash = excluded.nar_hash,
       nar_size = excluded.nar_size, refs = excluded.refs, deriver = excluded.deriver,
       signatures = excluded.signatures, ca = excluded.ca, uploaded_by = excluded.uploaded_by, created_at = now()`,
    [
      path.hashPart,
      path.path,
      path.fileHash,
      path.fileSize,
      path.compression,
      path.narHash,
      path.narSize,
      path.references,
      path.deriver ?? null,
      path.signatures,
      path.ca ?? null,
      uploadedBy,
    ],
  );
}

/** One of the paths whose NAR this file is. */
export async function findPathOfFile(db: Queryable, fileHash: string): Promise<UploadedPath | undefined> {
  const [row] = await db.query<PathRow>(
    `select ${COLUMNS} from cache_paths where file_hash = $1 order by hash_part limit 1`,
    [fileHash],
  );
  return row === undefined ? undefined : toPath(row);
}

/** Of these files, those that a path needs. */
export async function usedFiles(db: Queryable, fileHashes: readonly string[]): Promise<ReadonlySet<string>> {
  const rows = await db.query<{ file_hash: string }>(
    'select distinct file_hash from cache_paths where file_hash = any($1)',
    [fileHashes],
  );
  return new Set(rows.map((row) => row.file_hash));
}

export async function saveTrace(
  db: Queryable,
  name: string,
  body: unknown,
  uploadedBy: string,
): Promise<void> {
  await db.query(
    `insert into cache_traces (name, body, uploaded_by) values ($1, $2, $3)
     on conflict (name) do update set body = excluded.body, uploaded_by = excluded.uploaded_by`,
    [name, JSON.stringify(body), uploadedBy],
  );
}

export async function findTrace(db: Queryable, name: string): Promise<unknown> {
  const [row] = await db.query<{ body: unknown }>('select body from cache_traces where name = $1', [name]);
  return row?.body;
}

function toPath(row: PathRow): UploadedPath {
  return {
    hashPart: row.hash_part,
    path: row.store_path,
    fileHash: row.file_hash,
    fileSize: row.file_size,
    compression: row.compression,
    narHash: row.nar_hash,
    narSize: row.nar_size,
    references: row.refs,
    ...(row.deriver === null ? {} : { deriver: row.deriver }),
    signatures: row.signatures,
    ...(row.ca === null ? {} : { ca: row.ca }),
  };
}
