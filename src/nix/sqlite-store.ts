/** Nix's database, read directly: `ValidPaths`, `Refs` and `DerivationOutputs` of its SQLite schema 10. */
import { DatabaseSync, type StatementSync } from 'node:sqlite';
import type { StorePath } from '../base/brand.ts';
import type { PathInfo } from '../store/closure.ts';
import { parseNarHash } from '../store/nar-hash.ts';
import { isHashPart, parseStorePath, STORE_DIR } from '../store/store-path.ts';
import { missingPath, type StoreDatabase, type StoreStatistics } from './store-database.ts';

const COLUMNS = 'id, path, hash, registrationTime, deriver, narSize, ultimate, sigs, ca';
const BUSY_MS = 60_000;

interface PathRow {
  readonly id: number;
  readonly path: string;
  readonly hash: string;
  readonly registrationTime: number;
  readonly deriver: string | null;
  readonly narSize: number | null;
  readonly ultimate: number | null;
  readonly sigs: string | null;
  readonly ca: string | null;
}

/** `undefined` when the file cannot be opened or has not these tables. */
export function openSqliteStore(file: string): StoreDatabase | undefined {
  try {
    // Not `immutable`: that would ignore the write-ahead log and never see new paths.
    const database = new DatabaseSync(file, { readOnly: true, timeout: BUSY_MS });
    try {
      return sqliteStore(database);
    } catch (error) {
      database.close();
      throw error;
    }
  } catch {
    return undefined;
  }
}

function sqliteStore(database: DatabaseSync): StoreDatabase {
  const byPath = database.prepare(`SELECT ${COLUMNS} FROM ValidPaths WHERE path = ?`);
  const byPrefix = database.prepare('SELECT path FROM ValidPaths WHERE path >= ? ORDER BY path LIMIT 1');
  const references = database.prepare(
    'SELECT v.path FROM Refs r JOIN ValidPaths v ON v.id = r.reference WHERE r.referrer = ?',
  );
  const referrers = database.prepare(
    `SELECT v.path FROM Refs r JOIN ValidPaths v ON v.id = r.referrer JOIN ValidPaths p ON p.id = r.reference
     WHERE p.path = ? AND v.id <> p.id ORDER BY v.path`,
  );
  const outputs = database.prepare(
    'SELECT o.id AS name, o.path FROM DerivationOutputs o JOIN ValidPaths v ON v.id = o.drv WHERE v.path = ? ORDER BY o.id',
  );
  const derivers = database.prepare(
    'SELECT v.path FROM DerivationOutputs o JOIN ValidPaths v ON v.id = o.drv WHERE o.path = ? ORDER BY v.path',
  );
  const totals = database.prepare(
    'SELECT count(*) AS paths, coalesce(sum(narSize), 0) AS narSize, coalesce(max(registrationTime), 0) AS newest FROM ValidPaths',
  );
  const closureStatements = prepareClosure(database);
  const dataVersion = database.prepare('PRAGMA data_version');
  const find = (path: StorePath): PathInfo | undefined => {
    const row = byPath.get(path) as PathRow | undefined;
    return row === undefined ? undefined : toPathInfo(row, pathsOf(references, row.id));
  };
  return {
    kind: 'sqlite',
    isValid: async (path) => byPath.get(path) !== undefined,
    pathInfo: async (path) => find(path),
    pathFromHashPart: async (hashPart) => {
      if (!isHashPart(hashPart)) return undefined;
      const row = byPrefix.get(`${STORE_DIR}/${hashPart}`) as { readonly path: string } | undefined;
      return row?.path.startsWith(`${STORE_DIR}/${hashPart}-`) === true
        ? parseStorePath(row.path)
        : undefined;
    },
    closure: async (roots) => ({ roots, paths: readClosure(database, closureStatements, roots) }),
    referrers: async (path) => pathsOf(referrers, path),
    derivationOutputs: async (drvPath) => {
      const rows = outputs.all(drvPath) as unknown as readonly {
        readonly name: string;
        readonly path: string;
      }[];
      return new Map(rows.map((row) => [row.name, parseStorePath(row.path)]));
    },
    derivers: async (path) => pathsOf(derivers, path),
    statistics: async () => ({ ...(totals.get() as unknown as StoreStatistics) }),
    version: async () => Number(dataVersion.get()?.['data_version']),
    [Symbol.dispose]: () => database.close(),
  };
}

/** Two queries in one read transaction, so that a garbage collection between them cannot tear the closure. */
function readClosure(
  database: DatabaseSync,
  read: ClosureStatements,
  roots: readonly StorePath[],
): PathInfo[] {
  const wanted = JSON.stringify(roots);
  database.exec('BEGIN');
  let rows: readonly PathRow[];
  let edges: readonly { readonly referrer: number; readonly reference: number }[];
  try {
    rows = read.rows.all(wanted) as unknown as typeof rows;
    edges = read.edges.all(wanted) as unknown as typeof edges;
  } finally {
    database.exec('COMMIT');
  }
  const paths = new Map(rows.map((row) => [row.id, parseStorePath(row.path)]));
  const found = new Set(paths.values());
  const missing = roots.find((root) => !found.has(root));
  if (missing !== undefined) throw missingPath(missing);
  const references = new Map<number, StorePath[]>(rows.map((row) => [row.id, []]));
  for (const { referrer, reference } of edges) {
    const path = paths.get(reference);
    if (path !== undefined) references.get(referrer)?.push(path);
  }
  const infos = rows.map((row) => toPathInfo(row, (references.get(row.id) ?? []).sort()));
  return infos.sort((a, b) => (a.path < b.path ? -1 : 1));
}

interface ClosureStatements {
  readonly rows: StatementSync;
  readonly edges: StatementSync;
}

function prepareClosure(database: DatabaseSync): ClosureStatements {
  const closure = `WITH RECURSIVE closure(id) AS (
    SELECT v.id FROM json_each(?) root JOIN ValidPaths v ON v.path = root.value
    UNION SELECT r.reference FROM closure c JOIN Refs r ON r.referrer = c.id)`;
  // CROSS JOIN keeps the closure on the outside: the planner would scan all references of the store.
  const columns = COLUMNS.split(', ').map((column) => `v.${column}`);
  return {
    rows: database.prepare(
      `${closure} SELECT ${columns.join(', ')} FROM closure c CROSS JOIN ValidPaths v ON v.id = c.id`,
    ),
    edges: database.prepare(
      `${closure} SELECT r.referrer, r.reference FROM closure c CROSS JOIN Refs r ON r.referrer = c.id`,
    ),
  };
}

function pathsOf(statement: StatementSync, key: string | number): StorePath[] {
  const rows = statement.all(key) as unknown as readonly { readonly path: string }[];
  return rows.map((row) => parseStorePath(row.path)).sort();
}

function toPathInfo(row: PathRow, references: readonly StorePath[]): PathInfo {
  return {
    path: parseStorePath(row.path),
    narHash: parseNarHash(row.hash),
    narSize: row.narSize ?? 0,
    references,
    signatures: (row.sigs ?? '').split(' ').filter((signature) => signature !== ''),
    registrationTime: row.registrationTime,
    ultimate: row.ultimate === 1,
    ...(row.deriver === null || row.deriver === '' ? {} : { deriver: parseStorePath(row.deriver) }),
    ...(row.ca === null || row.ca === '' ? {} : { ca: row.ca }),
  };
}
