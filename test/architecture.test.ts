/** Holds the picture of ARCHITECTURE.md: which folder may import which, no cycles, pure folders, sizes and names. */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { BANDS, FOLDER_CONTENT, PURE_FOLDERS } from '../scripts/architecture.ts';
import { folderOf, listSourceFiles, readSourceFiles, ROOT } from '../scripts/docs/source-imports.ts';

const MAX_LINES = 400;
const FORBIDDEN_NAMES =
  /^(common|types|index|lib)\.(ts|tsx|mjs)$|(^|-)(utils?|helpers?|manager|misc)\.(ts|tsx|mjs)$/;
/** What people start, what programs import, and what `worker-thread.ts` starts by its name. */
const PROGRAMS = [
  'src/cli/main.ts',
  'src/library.ts',
  'src/image/hash-worker.ts',
  'src/image/read-worker.ts',
  'src/cache/verify-worker.ts',
];

const files = readSourceFiles('src');

test('folders import only from the bands below them and their allowed neighbours', () => {
  const wrong: string[] = [];
  for (const file of files) {
    for (const imported of file.imports) {
      if (!imported.startsWith('src/')) continue;
      const [from, to] = [folderOf(file.path), folderOf(imported)];
      if (from !== to && !isAllowed(from, to)) wrong.push(`${file.path} imports ${imported}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('every folder below src stands in one band and says what it holds', () => {
  const folders = readdirSync(join(ROOT, 'src'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && readdirSync(join(ROOT, 'src', entry.name)).length > 0)
    .map((entry) => entry.name);
  const banded = BANDS.flatMap((band) => Object.keys(band.folders));
  const known = banded.filter((folder) => FOLDER_CONTENT[folder] !== undefined);
  assert.deepEqual(
    folders.filter((folder) => !known.includes(folder)),
    [],
  );
  assert.deepEqual(banded.length, new Set(banded).size);
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
  const everywhere = ['src', 'test', 'bench', 'scripts'].flatMap(listSourceFiles);
  const long = everywhere.filter(
    (path) => readFileSync(join(ROOT, path), 'utf8').split('\n').length - 1 > MAX_LINES,
  );
  const vague = everywhere.filter((path) => FORBIDDEN_NAMES.test(basename(path)));
  assert.deepEqual({ long, vague }, { long: [], vague: [] });
});

test('every file is used by a program or a test, and every exported value by another file', () => {
  const all = [...files, ...readSourceFiles('test', 'bench', 'scripts', 'examples')];
  const byPath = new Map(all.map((file) => [file.path, file]));
  const used = new Set<string>();
  const follow = (path: string): void => {
    if (used.has(path)) return;
    used.add(path);
    for (const imported of byPath.get(path)?.imports ?? []) follow(imported);
  };
  for (const { path } of all) if (!path.startsWith('src/') || PROGRAMS.includes(path)) follow(path);
  const words = new Map(all.map(({ path, text }) => [path, new Set(withoutComments(text).match(/\w+/g))]));
  const unused = files.flatMap(({ path, text }) =>
    [...text.matchAll(/^export (?:async )?(?:function\*?|const|class) (\w+)/gm)]
      .map((match) => match[1] ?? '')
      .filter((name) => !all.some((other) => other.path !== path && words.get(other.path)?.has(name)))
      .map((name) => `${path}: ${name}`),
  );
  assert.deepEqual(
    { dead: files.map((file) => file.path).filter((path) => !used.has(path)), unused },
    { dead: [], unused: [] },
  );
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

function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, '');
}
