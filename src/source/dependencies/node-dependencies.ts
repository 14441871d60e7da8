/** Brings what a Node.js lock file names into the store, and says how the sandbox installs it. */
import { KilnError } from '../../base/error.ts';
import { findNodeLock } from '../recognise/detect-node.ts';
import type { SourceContext } from '../source-context.ts';
import { allDependencies, type PackageJson } from '../templates/package-json.ts';
import type { DependencySet } from '../templates/template.ts';
import type { TreeReader } from '../tree/tree-reader.ts';
import { dependencySet } from './dependency-set.ts';
import { fetchNpmPackages } from './fetch-npm.ts';
import { isForPlatform, parseNpmLock, type LockedNpmPackage } from './npm-lock.ts';
import { parsePnpmLock } from './pnpm-lock.ts';
import { parseYarnLock } from './yarn-lock.ts';

export interface NodeDependencies {
  readonly manager: 'npm' | 'yarn' | 'pnpm' | 'none';
  /** Runs a script of package.json: `npm run`. */
  readonly run: string;
  readonly set?: DependencySet;
  /** Some package compiles itself with node-gyp. */
  readonly compiles: boolean;
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

/** @throws KilnError source-unrecognised (no lock), invalid-input, dependency-fetch */
export async function nixNodeDependencies(
  tree: TreeReader,
  manifest: PackageJson,
  nodeMajor: number,
  context: SourceContext,
): Promise<NodeDependencies> {
  const lockName = findNodeLock(tree);
  if (lockName === undefined) {
    if (Object.keys(allDependencies(manifest)).length > 0) throw withoutLock(tree.directory);
    return { manager: 'none', run: 'npm run', compiles: false, notes: ['no dependencies'] };
  }
  const text = (await tree.read(lockName)) ?? '';
  const { manager, packages } = readLock(lockName, text);
  const run = `${manager} run`;
  const platform = { cpu: context.nix.system.startsWith('aarch64') ? 'arm64' : 'x64', libc: 'glibc' };
  const wanted = packages.filter((entry) => isForPlatform(entry, platform));
  const compiles = wanted.some((entry) => COMPILING.has(entry.name));
  if (wanted.length === 0)
    return { manager: 'none', run: 'npm run', compiles, notes: [`${lockName} names no packages`] };
  const set = await dependencySet(context, {
    name: `${manager}-dependencies`,
    key: [text, context.nix.system],
    fill: (directory) => fetchNpmPackages(wanted, directory, context),
  });
  const unlocked = set.packages.filter((entry) => !entry.locked).length;
  const notes = [
    `${set.packages.length} packages of ${lockName} for Node.js ${nodeMajor}`,
    ...(unlocked === 0
      ? []
      : [`${unlocked} of them have no integrity in the lock; what was downloaded was recorded`]),
  ];
  return { manager, run, set, compiles, notes };
}

function readLock(
  name: string,
  text: string,
): { manager: 'npm' | 'yarn' | 'pnpm'; packages: readonly LockedNpmPackage[] } {
  if (name === 'yarn.lock') return { manager: 'yarn', packages: parseYarnLock(text, name) };
  if (name === 'pnpm-lock.yaml') return { manager: 'pnpm', packages: parsePnpmLock(text, name) };
  const lock = parseNpmLock(text, name);
  if (lock.version < 2) {
    throw new KilnError(
      'invalid-input',
      `${name} is of version ${lock.version}, which npm can only convert with network access`,
      {
        where: name,
        hint: 'Run `npm install --package-lock-only` with npm 7 or newer and commit the lock.',
      },
    );
  }
  return { manager: 'npm', packages: lock.packages };
}

function withoutLock(where: string): KilnError {
  return new KilnError('source-unrecognised', 'package.json names dependencies, but there is no lock file', {
    where,
    hint: 'Run `npm install --package-lock-only` and commit package-lock.json: without it no two builds are the same.',
    fields: { lookedFor: ['package-lock.json', 'npm-shrinkwrap.json', 'pnpm-lock.yaml', 'yarn.lock'] },
  });
}
