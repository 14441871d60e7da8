/** Brings what a Node.js lock file names into the store, and says how the sandbox installs it. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { findNodeLock } from '../recognise/detect-node.ts';
import type { SourceContext } from '../source-context.ts';
import { allDependencies, type PackageJson } from '../templates/package-json.ts';
import type { DependencySet } from '../templates/template.ts';
import type { TreeReader } from '../tree/tree-reader.ts';
import { dependencySet } from './dependency-set.ts';
import { fetchNpmPackages } from './fetch-npm.ts';
import { pnpmFor, yarnBerryFor, type ManagerProgram } from './manager-program.ts';
import { isForPlatform, parseNpmLock, type LockedNpmPackage } from './npm-lock.ts';
import { parsePnpmLock } from './pnpm-lock.ts';
import { resolveNpmLock } from './resolve-npm-lock.ts';
import { isYarnBerryLock, parseYarnBerryLock } from './yarn-berry-lock.ts';
import { parseYarnLock } from './yarn-lock.ts';

export interface NodeDependencies {
  readonly manager: 'npm' | 'yarn' | 'yarn-berry' | 'pnpm' | 'none';
  /** The manager's own program, where the packaged one does not read the lock. */
  readonly program?: ManagerProgram;
  /** Runs a script of package.json: `npm run`. */
  readonly run: string;
  readonly set?: DependencySet;
  /** Some package compiles itself with node-gyp. */
  readonly compiles: boolean;
  /** A lock of npm 6: it says nothing of what packages need from each other. */
  readonly oldLock?: boolean;
  readonly notes: readonly string[];
}

const COMPILING = new Set([
  'node-gyp',
  'nan',
  'bindings',
  'prebuild-install',
  'node-addon-api',
  '@mapbox/node-pre-gyp',
  'node-gyp-build',
]);

/** @throws KilnError source-unrecognised (no lock, and none can be made), invalid-input, dependency-fetch */
export async function nixNodeDependencies(
  tree: TreeReader,
  manifest: PackageJson,
  nodeMajor: number,
  context: SourceContext,
): Promise<NodeDependencies> {
  const lockName = findNodeLock(tree);
  if (lockName === undefined && Object.keys(allDependencies(manifest)).length === 0)
    return { manager: 'none', run: 'npm run', compiles: false, notes: ['no dependencies'] };
  const text =
    lockName === undefined
      ? await resolveNpmLock(manifest, tree.directory, context)
      : ((await tree.read(lockName)) ?? '');
  const { manager, packages, oldLock } = readLock(lockName ?? 'package-lock.json', text);
  const run = `${manager.replace('-berry', '')} run`;
  const program =
    manager === 'pnpm'
      ? pnpmFor(text)
      : manager === 'yarn-berry'
        ? await yarnBerryFor(tree, manifest)
        : undefined;
  const platform = { cpu: context.nix.system.startsWith('aarch64') ? 'arm64' : 'x64', libc: 'glibc' };
  const wanted = packages.filter((entry) => isForPlatform(entry, platform));
  const compiles = wanted.some((entry) => COMPILING.has(entry.name));
  if (wanted.length === 0)
    return { manager: 'none', run: 'npm run', compiles, notes: ['the lock names no packages'] };
  const set = await dependencySet(context, {
    name: `${manager}-dependencies`,
    key: [text, context.nix.system, lockName ?? 'resolved here', JSON.stringify(program ?? {})],
    fill: async (directory) => {
      const own = program?.download === undefined ? [] : [program.download];
      const fetched = await fetchNpmPackages([...wanted, ...own], directory, context);
      if (lockName !== undefined) return fetched;
      await writeFile(path.join(directory, 'package-lock.json'), text);
      return fetched.map((entry) => ({ ...entry, locked: false }));
    },
  });
  // Yarn itself compares its own checksums in the sandbox.
  const unlocked =
    lockName === undefined || manager === 'yarn-berry'
      ? 0
      : set.packages.filter((entry) => !entry.locked).length;
  const notes = [
    lockName === undefined
      ? `no lock file: ${set.packages.length} packages, resolved once and recorded on this machine; commit package-lock.json to have the same elsewhere`
      : `${set.packages.length} packages of ${lockName} for Node.js ${nodeMajor}`,
    ...(oldLock ? [`${lockName} is of version 1: dependencies of packages are read from the packages`] : []),
    ...(unlocked === 0
      ? []
      : [`${unlocked} of them have no integrity in the lock; what was downloaded was recorded`]),
  ];
  return { manager, run, set, compiles, oldLock, notes, ...(program === undefined ? {} : { program }) };
}

function readLock(
  name: string,
  text: string,
): {
  manager: 'npm' | 'yarn' | 'yarn-berry' | 'pnpm';
  packages: readonly LockedNpmPackage[];
  oldLock: boolean;
} {
  if (name === 'yarn.lock' && isYarnBerryLock(text))
    return { manager: 'yarn-berry', packages: parseYarnBerryLock(text, name), oldLock: false };
  if (name === 'yarn.lock') return { manager: 'yarn', packages: parseYarnLock(text, name), oldLock: false };
  if (name === 'pnpm-lock.yaml')
    return { manager: 'pnpm', packages: parsePnpmLock(text, name), oldLock: false };
  const lock = parseNpmLock(text, name);
  return { manager: 'npm', packages: lock.packages, oldLock: lock.version < 2 };
}
