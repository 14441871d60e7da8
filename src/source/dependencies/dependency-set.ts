/** Downloads of one lock file, kept as one fixed-output store path. */
import { createHash, randomUUID } from 'node:crypto';
import { lstat, mkdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { replaceFile } from '../../blobs/replace-file.ts';
import type { StorePath } from '../../base/brand.ts';
import { nixString } from '../nix-text.ts';
import type { SourceContext } from '../source-context.ts';
import type { Dependency, DependencySet } from '../templates/template.ts';

const recordSchema = z.object({
  name: z.string(),
  path: z.string(),
  hash: z.string(),
  packages: z.array(
    z.object({
      name: z.string(),
      version: z.string(),
      integrity: z.string(),
      locked: z.boolean(),
      source: z.literal(true).optional(),
    }),
  ),
});

export interface DependencySetOptions {
  /** Store name of the path. */
  readonly name: string;
  /** Everything that decides what is downloaded: texts of locks, versions, system. */
  readonly key: readonly string[];
  /** Puts the files into an empty folder. Runs only where the store does not hold the path any more. */
  readonly fill: (directory: string) => Promise<readonly Dependency[]>;
}

/** The store path for these dependencies; from the record of an earlier build where the store still holds it. */
export async function dependencySet(
  context: SourceContext,
  options: DependencySetOptions,
): Promise<DependencySet> {
  const key = createHash('sha256')
    .update(JSON.stringify([options.name, ...options.key]))
    .digest('hex');
  const record = path.join(context.depsCache, 'sets', `${key}.json`);
  const known = await load(record);
  if (known !== undefined) return known;
  const work = path.join(context.depsCache, 'work', randomUUID());
  const directory = path.join(work, options.name);
  await mkdir(directory, { recursive: true });
  try {
    const packages = await options.fill(directory);
    const added = await context.nix.addFixed(directory, context.signal);
    const set: DependencySet = { name: options.name, ...added, packages };
    await replaceFile(record, JSON.stringify(set));
    return set;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** The Nix expression for the path: a derivation whose output is already there, and that says so where it is not. */
export function dependencyExpression(set: DependencySet, indent: string): string {
  const message = `${set.name}: not in this store. \`kiln build\` downloads and adds it.`;
  return [
    'derivation {',
    `  name = ${nixString(set.name)};`,
    '  system = pkgs.stdenv.hostPlatform.system;',
    '  builder = "/bin/sh";',
    `  args = [ "-c" ${nixString(`echo '${message}' >&2; exit 1`)} ];`,
    '  outputHashMode = "recursive";',
    '  outputHashAlgo = "sha256";',
    `  outputHash = ${nixString(set.hash)};`,
    '}',
  ].join(`\n${indent}`);
}

async function load(record: string): Promise<DependencySet | undefined> {
  try {
    const set = recordSchema.parse(JSON.parse(await readFile(record, 'utf8')));
    await lstat(set.path);
    return { ...set, path: set.path as StorePath };
  } catch {
    return undefined;
  }
}
