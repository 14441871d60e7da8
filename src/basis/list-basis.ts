/** What the basis is made of, for `kiln basis list`. */
import { readBasisLock, unitClosure } from './basis-lock.ts';
import { basisLockFile } from './basis-path.ts';

export interface BasisEntry {
  readonly system: string;
  /** Name of the unit; nixpkgs's names for units are in `nix/basis/packages/aliases.nix`. */
  readonly name: string;
  readonly version: string;
  /** Where its files come from. */
  readonly origin: 'debian' | 'npm';
  /** Debian packages of its whole closure, sorted; empty for npm. */
  readonly debs: readonly string[];
  /** Bytes of these packages as they are downloaded; 0 for npm, which does not say. */
  readonly downloadBytes: number;
}

/** Sorted by system and name. @throws KilnError not-found, corrupt */
export async function listBasis(options: { readonly lockFile?: string } = {}): Promise<BasisEntry[]> {
  const lock = await readBasisLock(options.lockFile ?? basisLockFile());
  const entries: BasisEntry[] = [];
  for (const [system, locked] of Object.entries(lock.systems)) {
    for (const [name, unit] of Object.entries(locked.units)) {
      const debs = unitClosure(locked, name).flatMap((member) => locked.units[member]?.debs ?? []);
      const downloadBytes = debs.reduce((sum, deb) => sum + (locked.debs[deb]?.size ?? 0), 0);
      entries.push({
        system,
        name,
        version: unit.version,
        origin: 'debian',
        debs: debs.toSorted(),
        downloadBytes,
      });
    }
    for (const [name, { version }] of Object.entries(locked.npm)) {
      entries.push({ system, name, version, origin: 'npm', debs: [], downloadBytes: 0 });
    }
  }
  return entries.toSorted((a, b) => (`${a.system} ${a.name}` < `${b.system} ${b.name}` ? -1 : 1));
}
