/** Reads the lock files of Python's package managers into pinned requirements with hashes. */
import { parse, TomlError } from 'smol-toml';
import { z } from 'zod';
import { KilnError } from '../../base/error.ts';

export interface PinnedPackage {
  readonly name: string;
  readonly version: string;
  /** An environment marker; absent where it is always wanted. */
  readonly marker?: string;
  /** `sha256:<hex>` of each file of the release. */
  readonly hashes: readonly string[];
}

const edge = z.looseObject({
  name: z.string(),
  marker: z.string().optional(),
  extra: z.array(z.string()).optional(),
});
const file = z.looseObject({ hash: z.string().optional() });
const packageSchema = z.looseObject({
  name: z.string(),
  version: z.string().optional(),
  groups: z.array(z.string()).optional(),
  marker: z.string().optional(),
  markers: z.union([z.string(), z.record(z.string(), z.string())]).optional(),
  optional: z.boolean().optional(),
  category: z.string().optional(),
  source: z.record(z.string(), z.unknown()).optional(),
  dependencies: z.unknown().optional(),
  sdist: file.optional(),
  wheels: z.array(file).optional(),
  files: z.array(file).optional(),
});
const lockSchema = z.looseObject({
  package: z.array(packageSchema).optional(),
  /** Until Poetry 1.4 the files of all packages stood here. */
  metadata: z
    .looseObject({ files: z.record(z.string(), z.array(file)).optional().catch(undefined) })
    .optional()
    .catch(undefined),
});
const pipfileSchema = z.looseObject({
  default: z.record(
    z.string(),
    z.looseObject({
      version: z.string().optional(),
      hashes: z.array(z.string()).optional(),
      markers: z.string().optional(),
    }),
  ),
});
const uvDependencies = z.array(edge).optional().catch(undefined);
const uvExtras = z.record(z.string(), z.array(edge)).optional().catch(undefined);

/** @throws KilnError invalid-input */
export function parsePythonLock(name: string, text: string): readonly PinnedPackage[] {
  if (name === 'Pipfile.lock') return pipfilePackages(text, name);
  const lock = lockSchema.safeParse(readToml(text, name)).data ?? malformed(name);
  const files = lock.metadata?.files ?? {};
  const packages = (lock.package ?? []).map((entry) =>
    entry.files === undefined && files[entry.name] !== undefined
      ? { ...entry, files: files[entry.name] }
      : entry,
  );
  return name === 'uv.lock' ? uvPackages(packages) : groupedPackages(packages);
}

type LockedPackage = z.infer<typeof packageSchema>;

/** poetry.lock and pdm.lock say themselves what belongs to the application and what to its development. */
function groupedPackages(packages: readonly LockedPackage[]): PinnedPackage[] {
  return packages.flatMap((entry) => {
    const wanted =
      entry.groups === undefined
        ? entry.category !== 'dev' && entry.optional !== true
        : entry.groups.some((group) => group === 'main' || group === 'default');
    if (!wanted || entry.version === undefined || (entry.files ?? []).length === 0) return [];
    const marker =
      entry.marker ?? (typeof entry.markers === 'string' ? entry.markers : entry.markers?.['main']);
    return [
      {
        name: entry.name,
        version: entry.version,
        ...(marker === undefined ? {} : { marker }),
        hashes: hashesOf(entry.files ?? []),
      },
    ];
  });
}

/** uv.lock is a graph: what is reached from the application without its development groups. */
function uvPackages(packages: readonly LockedPackage[]): PinnedPackage[] {
  const roots = packages.filter((entry) =>
    ['virtual', 'editable', 'directory'].some((kind) => entry.source?.[kind] !== undefined),
  );
  const byName = new Map(packages.map((entry) => [entry.name, entry]));
  /** Name → markers under which it is wanted; an empty set is always. */
  const reached = new Map<string, Set<string>>();
  const queue = roots.map((entry) => ({ entry, marker: '', extras: [] as readonly string[] }));
  const seen = new Set<string>();
  for (let step = queue.shift(); step !== undefined; step = queue.shift()) {
    const extras = uvExtras.parse(step.entry['optional-dependencies']) ?? {};
    const edges = [
      ...(uvDependencies.parse(step.entry.dependencies) ?? []),
      ...step.extras.flatMap((extra) => extras[extra] ?? []),
    ];
    for (const { name, marker = '', extra = [] } of edges) {
      const next = byName.get(name);
      if (next === undefined) continue;
      const combined = [step.marker, marker]
        .filter((part) => part !== '')
        .map((part) => `(${part})`)
        .join(' and ');
      const key = JSON.stringify([
        name,
        combined === '' ? '' : combined.length > 2000 ? marker : combined,
        extra,
      ]);
      if (seen.has(key)) continue;
      seen.add(key);
      reached.set(name, (reached.get(name) ?? new Set<string>()).add(combined));
      queue.push({ entry: next, marker: combined.length > 2000 ? marker : combined, extras: extra });
    }
  }
  return [...reached].flatMap(([name, markers]) => {
    const entry = byName.get(name);
    if (entry?.version === undefined || roots.includes(entry)) return [];
    const marker = markers.has('') ? undefined : [...markers].map((part) => `(${part})`).join(' or ');
    const hashes = hashesOf([...(entry.wheels ?? []), ...(entry.sdist === undefined ? [] : [entry.sdist])]);
    return [{ name, version: entry.version, ...(marker === undefined ? {} : { marker }), hashes }];
  });
}

function pipfilePackages(text: string, name: string): PinnedPackage[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    malformed(name);
  }
  const lock = pipfileSchema.safeParse(value).data ?? malformed(name);
  return Object.entries(lock.default).flatMap(([package_, entry]) => {
    const version = /^==(\S+)$/.exec(entry.version ?? '')?.[1];
    if (version === undefined) return [];
    return [
      {
        name: package_,
        version,
        ...(entry.markers === undefined ? {} : { marker: entry.markers }),
        hashes: entry.hashes ?? [],
      },
    ];
  });
}

function hashesOf(files: readonly z.infer<typeof file>[]): string[] {
  return files.flatMap((entry) => (entry.hash === undefined ? [] : [entry.hash]));
}

function readToml(text: string, name: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    throw new KilnError('invalid-input', `${name} is not TOML`, {
      where: `${name}:${error.line}\n${error.codeblock}`,
      hint: 'Resolve its merge conflict, or write it anew.',
      cause: error,
    });
  }
}

function malformed(name: string): never {
  throw new KilnError('invalid-input', `${name} is not a lock file`, {
    where: name,
    hint: 'Write it anew with the tool that made it.',
  });
}
