/** The parts of a package.json that decide how an application is built and started. */
import { z } from 'zod';
import { KilnError } from '../../base/error.ts';
import type { TreeReader } from '../tree/tree-reader.ts';

const versions = z.record(z.string(), z.string()).optional().catch(undefined);
const packageSchema = z.looseObject({
  name: z.string().optional().catch(undefined),
  version: z.string().optional().catch(undefined),
  main: z.string().optional().catch(undefined),
  bin: z
    .union([z.string(), z.record(z.string(), z.string())])
    .optional()
    .catch(undefined),
  scripts: versions,
  engines: versions,
  packageManager: z.string().optional().catch(undefined),
  dependencies: versions,
  devDependencies: versions,
  optionalDependencies: versions,
  peerDependencies: versions,
  workspaces: z.unknown().optional(),
});

export type PackageJson = z.infer<typeof packageSchema>;

/** @throws KilnError invalid-input */
export async function readPackageJson(tree: TreeReader): Promise<PackageJson | undefined> {
  const text = await tree.read('package.json');
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new KilnError(
      'invalid-input',
      `package.json is not JSON: ${error instanceof Error ? error.message : ''}`,
      {
        where: 'package.json',
        hint: 'Fix the file; `npm pkg get name` reads it.',
      },
    );
  }
  const result = packageSchema.safeParse(value);
  if (!result.success)
    throw new KilnError('invalid-input', 'package.json does not hold an object', { where: 'package.json' });
  return result.data;
}

/** All packages it asks for by name, whatever for. */
export function allDependencies(manifest: PackageJson): Readonly<Record<string, string>> {
  return { ...manifest.devDependencies, ...manifest.optionalDependencies, ...manifest.dependencies };
}
