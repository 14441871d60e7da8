/** The lock of the basis: every file it is made of, with its hash, and which files share a prefix. */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { KilnError } from '../base/error.ts';

/** A name that may stand in a store path; Debian's file names hold `%`, `~` and `:`, which may not. */
const storeName = z
  .string()
  .regex(/^[A-Za-z0-9+._?=-]{1,200}$/)
  .refine((name) => !name.startsWith('.'));

const lockedDebSchema = z.strictObject({
  version: z.string(),
  architecture: z.string(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  /** Bytes. */
  size: z.number().int().positive(),
  /** Path below the archive's root. */
  filename: z.string(),
  suite: z.string(),
  /** Store-safe file name. */
  file: storeName,
});

/** Debian packages that are unpacked into one store path, and the units whose files they use. */
const lockedUnitSchema = z.strictObject({
  version: z.string(),
  debs: z.array(z.string()).min(1),
  needs: z.array(z.string()),
});

const lockedNpmSchema = z.strictObject({
  package: z.string(),
  version: z.string(),
  /** Subresource integrity, `sha512-…`. */
  integrity: z.string().regex(/^sha512-[A-Za-z0-9+/]+=*$/),
  file: storeName,
});

const lockedSystemSchema = z.strictObject({
  /** The static BusyBox out of `deb`, in a directory as `bin/busybox`. */
  busybox: z.strictObject({ deb: z.string(), narHash: z.string().regex(/^sha256-/) }),
  debs: z.record(z.string(), lockedDebSchema),
  units: z.record(z.string(), lockedUnitSchema),
  npm: z.record(z.string(), lockedNpmSchema),
});

const basisLockSchema = z.strictObject({
  version: z.literal(1),
  suite: z.string(),
  /** Keyed by Nix system. */
  systems: z.record(z.string(), lockedSystemSchema),
});

export type BasisLock = z.infer<typeof basisLockSchema>;
export type LockedSystem = z.infer<typeof lockedSystemSchema>;
export type LockedDeb = z.infer<typeof lockedDebSchema>;
export type LockedUnit = z.infer<typeof lockedUnitSchema>;

/** @throws KilnError not-found, corrupt */
export async function readBasisLock(file: string): Promise<BasisLock> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new KilnError('not-found', `there is no basis lock at ${file}`, {
      hint: 'Write one with `kiln basis lock`.',
      cause,
    });
  });
  return parseBasisLock(text, file);
}

/** @throws KilnError corrupt */
export function parseBasisLock(text: string, where: string): BasisLock {
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch (cause) {
    throw new KilnError('corrupt', 'the basis lock is not JSON', { where, cause });
  }
  const parsed = basisLockSchema.safeParse(data);
  if (parsed.success) return parsed.data;
  throw new KilnError('corrupt', 'the basis lock does not have the expected shape', {
    where: `${where}\n${z.prettifyError(parsed.error)}`,
    hint: 'Write it anew with `kiln basis lock`.',
  });
}

/** The lock as it is committed: sorted keys, one entry per line where that keeps differences readable. */
export function formatBasisLock(lock: BasisLock): string {
  return `${JSON.stringify(sortKeys(lock), null, 1)}\n`;
}

/** Names of all packages that `unit` stands on, itself first; each unit once. */
export function unitClosure(system: LockedSystem, unit: string): string[] {
  const found = new Set<string>();
  const visit = (name: string): void => {
    const entry = system.units[name];
    if (entry === undefined || found.has(name)) return;
    found.add(name);
    entry.needs.forEach(visit);
  };
  visit(unit);
  return [...found];
}

/** Replaces what a store path's name may not hold. */
export function storeSafeName(name: string): string {
  return name
    .replace(/[^A-Za-z0-9+._?=-]/g, '_')
    .replace(/^\.+/, '_')
    .slice(0, 200);
}

function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, entry]) => [key, sortKeys(entry)]),
  );
}
