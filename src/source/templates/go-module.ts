/** Reads what go.mod and the source tell about building a Go application. */
import type { TreeReader } from '../tree/tree-reader.ts';

export interface GoModule {
  readonly path: string;
  /** The Go version that it asks for with all three numbers, e.g. `1.25.0`. */
  readonly version: string | undefined;
  readonly hasRequirements: boolean;
  /** Folders with a `package main`, `.` first, relative to the module. */
  readonly programs: readonly string[];
  /** Some file of its own imports "C", or it needs a module that does. */
  readonly usesCgo: boolean;
  /** Some file of its own waits for connections, as far as its text tells. */
  readonly listens: boolean;
}

const LISTENS =
  /\bListenAndServe|\bhttp\.Serve\b|\bnet\.Listen\b|\bListenConfig\b|\.(?:Listen|Run|Start)\(\s*(?:"[\w.]*:|fmt\.Sprintf\("[^"]*:|":"|addr|port|\w*\.?[Aa]ddr)|\b(?:gin\.(?:Default|New)|fiber\.New|echo\.New|grpc\.NewServer)\(/;
const CGO_MODULES =
  /^\s*(require\s+)?(github\.com\/mattn\/go-sqlite3|github\.com\/confluentinc\/confluent-kafka-go|github\.com\/DataDog\/zstd|gopkg\.in\/libgit2|github\.com\/marcboeker\/go-duckdb)\b/m;

export async function readGoModule(tree: TreeReader): Promise<GoModule | undefined> {
  const text = await tree.read('go.mod');
  if (text === undefined) return undefined;
  const path = /^module\s+"?([^\s"]+)/m.exec(text)?.[1] ?? 'app';
  const wanted = [
    /^go\s+(\d+\.\d+(?:\.\d+)?)/m.exec(text)?.[1],
    /^toolchain\s+go(\d+\.\d+(?:\.\d+)?)/m.exec(text)?.[1],
  ];
  const version = wanted
    .filter((word) => word !== undefined)
    .sort(compareVersions)
    .at(-1);
  const files = tree.paths.filter(
    (name) =>
      name.endsWith('.go') &&
      !name.endsWith('_test.go') &&
      !/(^|\/)(vendor|testdata|examples?|_[^/]*|\.[^/]*)\//.test(name),
  );
  const programs = new Set<string>();
  let usesCgo = CGO_MODULES.test(text);
  let listens = false;
  for (const name of files) {
    const source = (await tree.read(name)) ?? '';
    if (/^\/\/go:build\s+(ignore|tools)\b/m.test(source)) continue;
    if (/^\s*(import\s+)?"C"\s*$/m.test(source)) usesCgo = true;
    listens ||= LISTENS.test(source);
    if (/^package\s+main\b/m.test(source))
      programs.add(name.includes('/') ? name.replace(/\/[^/]*$/, '') : '.');
  }
  return {
    path,
    version: version === undefined ? undefined : version.split('.').length === 2 ? `${version}.0` : version,
    hasRequirements: /^\s*require\b/m.test(text),
    programs: [...programs].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1)),
    usesCgo,
    listens,
  };
}

/**
 * Whether `vendor/` holds what go.mod asks for: go refuses to build otherwise. Go 1.13 and older did not look into it.
 */
export async function vendorFits(tree: TreeReader): Promise<boolean> {
  const [text = '', listed = ''] = [await tree.read('go.mod'), await tree.read('vendor/modules.txt')];
  const vendored = new Set(
    [...listed.matchAll(/^# (\S+) (v\S+)/gm)].map((match) => `${match[1]} ${match[2]}`),
  );
  const block = [...text.matchAll(/^require\s*\(([^)]*)\)/gm)].flatMap((match) =>
    (match[1] ?? '').split('\n'),
  );
  const single = [...text.matchAll(/^require\s+([^(\s].*)$/gm)].map((match) => match[1] ?? '');
  return [...block, ...single]
    .map((line) => /^\s*"?([^\s"/]\S*?)"?\s+(v\S+)/.exec(line))
    .every((match) => match === null || vendored.has(`${match[1]} ${match[2]}`));
}

/** The program among several that the application is: the root, the one with its name, the only one. */
export function mainProgram(module: GoModule): string | undefined {
  const name = module.path.replace(/\/v\d+$/, '').replace(/^.*\//, '');
  const { programs } = module;
  if (programs.includes('.') || programs.length === 1) return programs[0];
  const likely = [`cmd/${name}`, 'cmd/server', 'cmd/app', 'cmd/web', 'cmd/api', 'cmd/main', name];
  return likely.find((folder) => programs.includes(folder));
}

export function compareVersions(a: string, b: string): number {
  const [left, right] = [a.split('.').map(Number), b.split('.').map(Number)];
  for (let at = 0; at < Math.max(left.length, right.length); at++) {
    const difference = (left[at] ?? 0) - (right[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function rank(folder: string): number {
  return folder === '.' ? 0 : folder.startsWith('cmd/') ? 1 : 2;
}
