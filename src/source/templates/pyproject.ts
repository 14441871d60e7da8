/** The parts of a pyproject.toml that decide how an application is built and started. */
import { parse, TomlError } from 'smol-toml';
import { z } from 'zod';
import { KilnError } from '../../base/error.ts';
import type { TreeReader } from '../tree/tree-reader.ts';

const words = z.array(z.string()).optional().catch(undefined);
const scripts = z.record(z.string(), z.unknown()).optional().catch(undefined);
const poetryDependency = z.union([
  z.string(),
  z.looseObject({ version: z.string().optional(), optional: z.boolean().optional(), extras: words }),
]);
const pyprojectSchema = z.looseObject({
  project: z
    .looseObject({
      name: z.string().optional(),
      version: z.string().optional(),
      dependencies: words,
      scripts,
    })
    .optional()
    .catch(undefined),
  'build-system': z.looseObject({ requires: words }).optional().catch(undefined),
  tool: z
    .looseObject({
      poetry: z
        .looseObject({
          name: z.string().optional(),
          version: z.string().optional(),
          dependencies: z.record(z.string(), poetryDependency.catch('*')).optional().catch(undefined),
          scripts,
          'package-mode': z.boolean().optional(),
          packages: z.unknown().optional(),
        })
        .optional()
        .catch(undefined),
      uv: z.looseObject({ package: z.boolean().optional() }).optional().catch(undefined),
    })
    .optional()
    .catch(undefined),
});

export interface Pyproject {
  readonly name: string | undefined;
  readonly version: string | undefined;
  /** As pip reads them. */
  readonly dependencies: readonly string[];
  readonly scripts: readonly string[];
  /** What building it as a package needs; undefined where it is not a package. */
  readonly buildRequirements: readonly string[] | undefined;
}

/** @throws KilnError invalid-input */
export async function readPyproject(tree: TreeReader): Promise<Pyproject | undefined> {
  const text = await tree.read('pyproject.toml');
  if (text === undefined) return undefined;
  const { project, tool, 'build-system': buildSystem } = pyprojectSchema.parse(readToml(text));
  const poetry = tool?.poetry;
  const declared =
    buildSystem !== undefined && tool?.uv?.package !== false && poetry?.['package-mode'] !== false;
  const named = project?.name ?? poetry?.name;
  const isPackage =
    declared && !(poetry !== undefined && poetry.packages === undefined && !hasModule(tree, named));
  return {
    name: named,
    version: project?.version ?? poetry?.version,
    dependencies: project?.dependencies ?? poetryRequirements(poetry?.dependencies ?? {}),
    scripts: Object.keys(project?.scripts ?? poetry?.scripts ?? {}),
    buildRequirements:
      isPackage && named !== undefined ? (buildSystem?.requires ?? ['setuptools']) : undefined,
  };
}

/** Poetry describes many applications as packages that are none: nothing has their name. It only warns, and goes on. */
function hasModule(tree: TreeReader, name = ''): boolean {
  const module = name.replace(/[-.]/g, '_');
  return ['', 'src/'].some((base) => tree.hasFolder(`${base}${module}`) || tree.has(`${base}${module}.py`));
}

/** `^1.2` is "compatible up to the next number that counts", `~1.2` up to the next minor. */
function poetryRequirements(
  dependencies: Readonly<Record<string, z.infer<typeof poetryDependency>>>,
): string[] {
  return Object.entries(dependencies).flatMap(([name, wish]) => {
    if (name.toLowerCase() === 'python') return [];
    if (typeof wish !== 'string' && wish.optional === true) return [];
    const version = typeof wish === 'string' ? wish : (wish.version ?? '*');
    const extras = typeof wish === 'string' || wish.extras === undefined ? '' : `[${wish.extras.join(',')}]`;
    return [`${name}${extras}${poetryVersion(version)}`];
  });
}

function poetryVersion(text: string): string {
  const parts = text.split(',').map((part) => {
    const match = /^\s*([\^~]?)\s*(\d+(?:\.\d+)*)\s*$/.exec(part);
    if (match === null) return part.trim() === '*' ? '' : part.trim();
    const numbers = (match[2] ?? '').split('.').map(Number);
    if (match[1] === '') return `==${match[2]}`;
    const at =
      match[1] === '~'
        ? Math.min(1, numbers.length - 1)
        : Math.max(
            0,
            numbers.findIndex((number) => number > 0),
          );
    const upper = numbers.slice(0, at + 1).map((number, index) => (index === at ? number + 1 : number));
    return `>=${match[2]},<${upper.join('.')}`;
  });
  return parts.filter((part) => part !== '').join(',');
}

function readToml(text: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    throw new KilnError('invalid-input', 'pyproject.toml is not TOML', {
      where: `pyproject.toml:${error.line}\n${error.codeblock}`,
      hint: 'Fix the line shown.',
      cause: error,
    });
  }
}
