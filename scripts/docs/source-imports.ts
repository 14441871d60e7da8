/** The files of src/ and what they import from each other. */
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

export const ROOT = resolve(import.meta.dirname, '../..');

export interface SourceFile {
  /** Relative to the checkout, e.g. `src/git/mirror.ts`. */
  readonly path: string;
  readonly text: string;
  /** Files of the checkout that it imports, or starts as workers or programs. */
  readonly imports: readonly string[];
}

const IMPORT =
  /^\s*(?:import|export)\s(?:[^'"]*?\sfrom\s)?['"]([^'"]+)['"]|import\(\s*['"]([^'"]+)['"]\s*\)|new URL\(\s*['"]([^'"]+\.(?:ts|mjs))['"]/gm;

/** All program files below the folders, sorted; a folder that is not there has none. */
export function readSourceFiles(...folders: readonly string[]): SourceFile[] {
  return folders.flatMap(listSourceFiles).map((path) => {
    const text = readFileSync(join(ROOT, path), 'utf8');
    const imports = [...text.matchAll(IMPORT)]
      .map((match) => match[1] ?? match[2] ?? match[3] ?? '')
      .filter((target) => /^\.|\.mjs$|\.ts$/.test(target))
      .map((target) => relative(ROOT, resolve(ROOT, dirname(path), target)));
    return { path, text, imports };
  });
}

export function listSourceFiles(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter(
      (name) => /\.(ts|tsx|mjs)$/.test(name) && !name.includes('node_modules') && !name.includes('fixtures'),
    )
    .map((name) => join(folder, name))
    .sort();
}

/** The folder of src/ that a file stands in; `library` for `src/library.ts`. */
export function folderOf(path: string): string {
  const parts = path.split('/');
  return parts.length > 2 ? (parts[1] ?? '') : 'library';
}
