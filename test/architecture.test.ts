/** Holds the picture of ARCHITECTURE.md: which folder may import which, no cycles, pure folders, sizes and names. */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { BANDS, PURE_FOLDERS } from '../scripts/architecture.ts';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const SRC = join(ROOT, 'src');
const MAX_LINES = 400;
const FORBIDDEN_NAMES =
  /^(common|types|index|lib)\.(ts|tsx|mjs)$|(^|-)(utils?|helpers?|manager|misc)\.(ts|tsx|mjs)$/;
const IMPORT =
  /^\s*(?:import|export)\s(?:[^'"]*?\sfrom\s)?['"]([^'"]+)['"]|import\(\s*['"]([^'"]+)['"]\s*\)/gm;

interface SourceFile {
  readonly path: string;
  readonly text: string;
  readonly imports: readonly string[];
}

const files = readFiles();

test('folders import only from the bands below them and their allowed neighbours', () => {
  const wrong: string[] = [];
  for (const file of files) {
    for (const imported of file.imports) {
      const [from, to] = [folderOf(file.path), folderOf(imported)];
      if (from !== to && !isAllowed(from, to)) wrong.push(`${file.path} imports ${imported}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('every folder below src stands in one band', () => {
  const folders = readdirSync(SRC, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && readdirSync(join(SRC, entry.name)).length > 0)
    .map((entry) => entry.name);
  const known = BANDS.flatMap((band) => Object.keys(band.folders));
  assert.deepEqual(
    folders.filter((folder) => !known.includes(folder)),
    [],
  );
});

test('no file imports itself through others', () => {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    if (trail.includes(path))
      assert.fail(`import cycle: ${[...trail.slice(trail.indexOf(path)), path].join(' -> ')}`);
    if (done.has(path)) return;
    for (const imported of byPath.get(path)?.imports ?? []) visit(imported, [...trail, path]);
    done.add(path);
  };
  for (const file of files) visit(file.path, []);
});

test('pure folders do no input or output', () => {
  const forbidden =
    /from 'node:(fs|net|http|https|child_process|worker_threads|dns|tls|sqlite)[/']|from '(pg|fastify)/;
  const wrong = files.filter(
    (file) => PURE_FOLDERS.includes(folderOf(file.path)) && forbidden.test(file.text),
  );
  assert.deepEqual(
    wrong.map((file) => file.path),
    [],
  );
});

test('no file is longer than 400 lines or has a name that says nothing', () => {
  const everywhere = [
    ...files.map((file) => join('src', file.path)),
    ...listFiles('test'),
    ...listFiles('bench'),
    ...listFiles('scripts'),
  ];
  const long = everywhere.filter(
    (path) => readFileSync(join(ROOT, path), 'utf8').split('\n').length - 1 > MAX_LINES,
  );
  const vague = everywhere.filter((path) => FORBIDDEN_NAMES.test(basename(path)));
  assert.deepEqual({ long, vague }, { long: [], vague: [] });
});

test('processes are started in two places: src/process, and src/runtime for the way into a container', () => {
  const wrong: string[] = [];
  for (const file of files) {
    const folder = folderOf(file.path);
    if (/from 'node:child_process'/.test(file.text) && !['process', 'runtime'].includes(folder)) {
      wrong.push(`${file.path} starts processes itself: use src/process/run-process.ts`);
    }
  }
  assert.deepEqual(wrong, []);
});

function isAllowed(from: string, to: string): boolean {
  const fromBand = BANDS.findIndex((band) => from in band.folders);
  const toBand = BANDS.findIndex((band) => to in band.folders);
  if (toBand < fromBand) return true;
  if (toBand > fromBand) return false;
  return BANDS[fromBand]?.folders[from]?.includes(to) ?? false;
}

function folderOf(path: string): string {
  return path.includes('/') ? (path.split('/')[0] ?? '') : 'library';
}

function readFiles(): SourceFile[] {
  return listFiles('src').map((path) => {
    const text = readFileSync(join(ROOT, path), 'utf8');
    const imports = [...text.matchAll(IMPORT)]
      .map((match) => match[1] ?? match[2] ?? '')
      .filter((target) => target.startsWith('.'))
      .map((target) => relative(SRC, resolve(ROOT, dirname(path), target)));
    return { path: relative('src', path), text, imports };
  });
}

function listFiles(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter(
      (name) => /\.(ts|tsx|mjs)$/.test(name) && !name.includes('node_modules') && !name.includes('fixtures'),
    )
    .map((name) => join(folder, name))
    .sort();
}
