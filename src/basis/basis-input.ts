/** The input list of the basis, `nix/basis/packages.json`: which Debian and npm packages it takes, and how they group. */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { KilnError } from '../base/error.ts';

export const NIX_SYSTEMS = ['x86_64-linux', 'aarch64-linux'] as const;
export type NixSystem = (typeof NIX_SYSTEMS)[number];

const groupSchema = z.strictObject({
  /** Binary packages that share one prefix; `${gnu}` is the system's, a `*` or `[…]` matches what the closure has. */
  debs: z.array(z.string()).min(1),
  /** Dependencies of this group that are not followed. */
  skip: z.array(z.string()).optional(),
  /** Systems that have it; default all. */
  only: z.array(z.enum(NIX_SYSTEMS)).optional(),
});

const basisInputSchema = z.strictObject({
  suite: z.string().regex(/^[a-z]+$/),
  systems: z.partialRecord(
    z.enum(NIX_SYSTEMS),
    z.strictObject({ debian: z.enum(['amd64', 'arm64']), gnu: z.string(), npm: z.string() }),
  ),
  /** The package that holds the static BusyBox, the first builder. */
  busybox: z.string(),
  /** Dependencies that are never followed: what only matters to an installed system. */
  skip: z.array(z.string()),
  groups: z.record(z.string().regex(/^[a-z0-9][a-z0-9.+-]*$/), groupSchema),
  /** Packages that become a prefix of their own. */
  roots: z.array(z.string()),
  /** Attribute → package of the npm registry and the range its version is taken from, for all systems or each. */
  npm: z.record(
    z.string(),
    z.strictObject({
      package: z.string(),
      version: z.union([z.string(), z.partialRecord(z.enum(NIX_SYSTEMS), z.string())]),
    }),
  ),
});

export type BasisInput = z.infer<typeof basisInputSchema>;

/** @throws KilnError not-found, invalid-input */
export async function readBasisInput(file: string): Promise<BasisInput> {
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new KilnError('not-found', `there is no basis input list at ${file}`, { cause });
  });
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch (cause) {
    throw new KilnError('invalid-input', `${file} is not JSON`, { cause });
  }
  const parsed = basisInputSchema.safeParse(data);
  if (parsed.success) return parsed.data;
  throw new KilnError('invalid-input', `${file} is not a basis input list`, {
    where: z.prettifyError(parsed.error),
  });
}
