/** Outputs of content-addressed derivations, from the tables that Nix adds to its database for them. */
import { DatabaseSync } from 'node:sqlite';
import { join } from 'node:path';
import type { StorePath } from '../base/brand.ts';
import { baseNameOf, isStorePath, STORE_DIR } from '../store/store-path.ts';
import type { NixInstallation } from './nix-installation.ts';

export interface BuildTrace {
  readonly outPath: StorePath;
  /** `name:base64` each. */
  readonly signatures: readonly string[];
}

export interface BuildTraces extends Disposable {
  /** @param id `sha256:<hex>` of the derivation, the key of Nix before 2.35 */
  byHash(id: string, output: string): BuildTrace | undefined;
  /** From Nix 2.35 on. */
  byDerivation(drvPath: StorePath, output: string): BuildTrace | undefined;
}

interface TraceRow {
  readonly outPath: string | null;
  readonly signatures: string | null;
}

const BY_HASH = `SELECT v.path AS outPath, r.signatures FROM Realisations r JOIN ValidPaths v ON v.id = r.outputPath
  WHERE r.drvPath = ? AND r.outputName = ?`;
const BY_DERIVATION =
  'SELECT outputPath AS outPath, signatures FROM BuildTraceV3 WHERE drvPath = ? AND outputName = ?';

/** Where the tables or the database are missing nothing is found. */
export function openBuildTraces(nix: NixInstallation): BuildTraces {
  const stateDir = nix.env['NIX_STATE_DIR'] ?? process.env['NIX_STATE_DIR'] ?? '/nix/var/nix';
  let database: DatabaseSync | undefined;
  const ask = (sql: string, key: string, output: string): BuildTrace | undefined => {
    try {
      database ??= new DatabaseSync(join(stateDir, 'db', 'db.sqlite'), { readOnly: true });
      return toTrace(database.prepare(sql).get(key, output) as TraceRow | undefined);
    } catch {
      // The tables come with the first content-addressed build.
      return undefined;
    }
  };
  return {
    byHash: (id, output) => ask(BY_HASH, id, output),
    byDerivation: (drvPath, output) =>
      ask(BY_DERIVATION, baseNameOf(drvPath), output) ?? ask(BY_DERIVATION, drvPath, output),
    [Symbol.dispose]: () => database?.close(),
  };
}

function toTrace(row: TraceRow | undefined): BuildTrace | undefined {
  if (row === undefined || row.outPath === null) return undefined;
  const path = row.outPath.startsWith('/') ? row.outPath : `${STORE_DIR}/${row.outPath}`;
  if (!isStorePath(path)) return undefined;
  return { outPath: path, signatures: (row.signatures ?? '').split(' ').filter((text) => text !== '') };
}
