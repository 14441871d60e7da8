/** Programs from Debian packages in a private prefix, whole or not at all. */
import { mkdir, mkdtemp, readdir, readlink, rename, rm, symlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import pLimit from 'p-limit';
import { KilnError } from '../base/error.ts';
import { formatBytes } from '../base/units.ts';
import { DEBIAN_SUITE, openDebianArchive } from '../debian/debian-archive.ts';
import type { DebPackage } from '../debian/deb-package.ts';
import { unpackDeb } from '../debian/unpack-deb.ts';
import { lockFile } from '../process/file-lock.ts';
import { isProgram } from './find-program.ts';
import { debianDirectory, toolHomes, type Environment } from './kiln-home.ts';
import { relocateProgram } from './relocate-program.ts';

export interface SetupRun {
  readonly env?: Environment;
  readonly signal?: AbortSignal;
  /** One line before each step that takes time or changes something. */
  readonly onProgress?: (line: string) => void;
}

export interface PrefixRecipe {
  /** Short name, also of the folder: `nix`. */
  readonly name: string;
  /** For people: `Nix`. */
  readonly title: string;
  /** Package whose version names the prefix. */
  readonly main: string;
  /** Further packages; the libraries of all of them come along, their other dependencies do not. */
  readonly packages: readonly string[];
  /** Program to relocate, relative to the prefix. */
  readonly program: string;
  /** Completes the unpacked prefix and proves that it works; what it throws ends the installation. */
  readonly complete: (directory: string, run: SetupRun) => Promise<void>;
}

export interface Prefix {
  /** Real path; the programs in it know it, so it cannot be moved. */
  readonly directory: string;
  /** Debian version of the main package. */
  readonly version: string;
}

/**
 * The newest finished prefix of that name. `<tools>/<name>-<version>` is a link made as the last step of an
 * installation, so what a killed one left behind is never seen.
 */
export async function findPrefix(
  recipe: Pick<PrefixRecipe, 'name' | 'program'>,
  env?: Environment,
): Promise<Prefix | undefined> {
  for (const tools of toolHomes(env)) {
    const links = (await readdir(tools).catch(() => [])).filter((entry) =>
      entry.startsWith(`${recipe.name}-`),
    );
    for (const link of links.toSorted(newestFirst)) {
      const target = await readlink(join(tools, link)).catch(() => undefined);
      if (target === undefined) continue;
      // The link holds the absolute path that the programs were made for; a copied tree has another one.
      if (!target.startsWith(`${tools}/`) || !(await isProgram(join(target, recipe.program)))) continue;
      return { directory: target, version: link.slice(recipe.name.length + 1) };
    }
  }
  return undefined;
}

/** Installs a prefix, or gives the one that another process made meanwhile. @throws KilnError */
export async function installPrefix(recipe: PrefixRecipe, run: SetupRun): Promise<Prefix> {
  const { env, signal } = run;
  const tools = toolHomes(env)[0] ?? '';
  if (/[\s":$]/.test(tools)) {
    throw new KilnError('invalid-config', `${recipe.title} cannot be installed below ${tools}`, {
      hint: 'Set KILN_HOME to a folder whose path has no spaces, quotes, colons or dollar signs.',
    });
  }
  await mkdir(tools, { recursive: true });
  await using _lock = await lockFile(join(tools, `.${recipe.name}.lock`), { signal });
  const present = await findPrefix(recipe, env);
  if (present !== undefined) return present;
  await removeLeftovers(tools, recipe.name);

  const archive = await openDebianArchive({ directory: debianDirectory(env), suite: DEBIAN_SUITE, signal });
  const closure = await archive.resolve([recipe.main, ...recipe.packages], run);
  const packages = neededPackages(closure, [recipe.main, ...recipe.packages]);
  const version = packages.find((deb) => deb.name === recipe.main)?.version ?? '0';
  const link = join(tools, `${recipe.name}-${version.replace(/^\d+:/, '')}`);
  const size = formatBytes(packages.reduce((sum, deb) => sum + deb.size, 0));
  run.onProgress?.(
    `installing ${recipe.title} ${upstream(version)} from Debian (${packages.length} packages, ${size}) into ${link}`,
  );
  const files = await archive.fetch(packages, { signal });

  const directory = await mkdtemp(join(tools, `.${basename(link)}.`));
  try {
    const limit = pLimit(2);
    await Promise.all([...files.values()].map((file) => limit(() => unpackDeb(file, directory, { signal }))));
    for (const unused of ['usr/share/doc', 'usr/share/man', 'usr/share/locale']) {
      await rm(join(directory, unused), { recursive: true, force: true });
    }
    await relocateProgram(directory, recipe.program, { signal });
    await recipe.complete(directory, run);
    await replaceLink(directory, link);
  } catch (error) {
    await rm(directory, { recursive: true, force: true });
    throw error;
  }
  return { directory, version: basename(link).slice(recipe.name.length + 1) };
}

/** Names of Debian's library packages; Perl's are modules of a program that is left out. */
const LIBRARY = /^(?:zlib1g|lib(?!.*-perl$).*)$/;

/** The named packages and the libraries below them: programs that Debian would install beside them are left out. */
export function neededPackages(closure: readonly DebPackage[], names: readonly string[]): DebPackage[] {
  const byName = new Map(closure.map((deb) => [deb.name, deb]));
  const needed = new Set<string>();
  const visit = (name: string): void => {
    const deb = byName.get(name);
    if (deb === undefined || needed.has(name)) return;
    needed.add(name);
    for (const dependency of deb.dependencies ?? []) {
      if (LIBRARY.test(dependency)) visit(dependency);
    }
  };
  for (const name of names) visit(name);
  return closure.filter((deb) => needed.has(deb.name));
}

/** `1:2.26.3+dfsg-1` → `2.26.3`. */
export function upstream(version: string): string {
  return version.replace(/^\d+:/, '').replace(/[+~-].*$/, '');
}

/** Only the lock's holder installs, so folders that no link names are left from killed installations. */
async function removeLeftovers(tools: string, name: string): Promise<void> {
  const entries = await readdir(tools);
  const targets = await Promise.all(
    entries.map((entry) => readlink(join(tools, entry)).catch(() => undefined)),
  );
  for (const entry of entries.filter((candidate) => candidate.startsWith(`.${name}-`))) {
    const path = join(tools, entry);
    if (!targets.includes(path)) await rm(path, { recursive: true, force: true });
  }
}

async function replaceLink(target: string, link: string): Promise<void> {
  const fresh = `${target}.link`;
  await symlink(target, fresh);
  await rename(fresh, link);
}

function newestFirst(a: string, b: string): number {
  return b.localeCompare(a, 'en', { numeric: true });
}
