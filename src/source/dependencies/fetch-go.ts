/** Downloads Go modules with the go command, which checks them against go.sum, and keeps what its file proxy serves. */
import { cp, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { KilnError } from '../../base/error.ts';
import { runProcess, type ProcessResult } from '../../process/run-process.ts';
import type { SourceContext } from '../source-context.ts';
import type { TreeReader } from '../tree/tree-reader.ts';
import type { Dependency, DependencySet } from '../templates/template.ts';
import { dependencySet } from './dependency-set.ts';

const DEADLINE_MS = 15 * 60_000;

/**
 * All modules of go.mod, and with `toolchain` that release of Go, as a folder in the form of a module proxy.
 * @throws KilnError dependency-fetch, tool-missing
 */
export async function goModules(
  tree: TreeReader,
  toolchain: string | undefined,
  context: SourceContext,
): Promise<DependencySet> {
  const manifests = tree.paths.filter(
    (name) => /(^|\/)go\.(mod|sum|work|work\.sum)$/.test(name) && !name.startsWith('vendor/'),
  );
  const texts = await Promise.all(
    manifests.map(async (name) => [name, (await tree.read(name)) ?? ''] as const),
  );
  return dependencySet(context, {
    name: 'go-modules',
    key: [JSON.stringify(texts), toolchain ?? '', context.nix.system],
    fill: (directory) => download(texts, toolchain, directory, context),
  });
}

async function download(
  manifests: readonly (readonly [string, string])[],
  toolchain: string | undefined,
  directory: string,
  context: SourceContext,
): Promise<readonly Dependency[]> {
  const work = path.join(path.dirname(directory), 'go');
  const module = path.join(work, 'module');
  for (const [name, text] of manifests) {
    await mkdir(path.join(module, path.dirname(name)), { recursive: true });
    await writeFile(path.join(module, name), text);
  }
  const cache = path.join(context.depsCache, 'go');
  await mkdir(cache, { recursive: true });
  const fresh = path.join(work, 'cache');
  const program = await goProgram(context);
  const run = async (args: readonly string[]): Promise<void> => {
    // What an earlier build downloaded is the first proxy; it was checked then and is checked again against go.sum.
    const proxies = `file://${path.join(cache, 'download')},${await goSetting(program, 'GOPROXY', context)}`;
    const env = {
      ...process.env,
      GOMODCACHE: fresh,
      GOPROXY: proxies,
      GOFLAGS: '-mod=mod -modcacherw',
      GOTOOLCHAIN: 'local',
      GOWORK: manifests.some(([name]) => name === 'go.work') ? undefined : 'off',
    };
    const result = await runProcess(program, args, {
      cwd: module,
      env,
      deadlineMs: DEADLINE_MS,
      ...(context.signal === undefined ? {} : { signal: context.signal }),
      onLine: (line) => context.onProgress?.(line),
    });
    if (result.exitCode !== 0) throw failure(result);
  };
  if (toolchain !== undefined) await run(['mod', 'download', toolchain]);
  await withoutGoLine(module, toolchain);
  await run(['mod', 'download']);
  await checkSums(module, manifests);
  const from = path.join(fresh, 'cache', 'download');
  await keep(from, directory);
  await cp(directory, path.join(cache, 'download'), { recursive: true, force: true });
  return describe(directory, manifests);
}

/** The go command that downloads may be older than the one that builds; what it downloads is the same. */
async function withoutGoLine(module: string, toolchain: string | undefined): Promise<void> {
  if (toolchain === undefined) return;
  const file = path.join(module, 'go.mod');
  const text = await readFile(file, 'utf8');
  await writeFile(file, text.replace(/^go\s+\S+$/m, 'go 1.21').replace(/^toolchain\s+\S+$/m, ''));
}

/** `-mod=mod` adds missing lines to go.sum; a build would then fail in the sandbox with a worse message. */
async function checkSums(module: string, manifests: readonly (readonly [string, string])[]): Promise<void> {
  const before = new Set((manifests.find(([name]) => name === 'go.sum')?.[1] ?? '').split('\n'));
  const after = (await readFile(path.join(module, 'go.sum'), 'utf8').catch(() => '')).split('\n');
  const missing = after.filter(
    (line) => /^\S+ v\S+ h1:/.test(line) && !/\/go\.mod /.test(line) && !before.has(line),
  );
  const modulesInSum = new Set([...before].map((line) => line.split(' ').slice(0, 1).join(' ')));
  const unknown = missing.filter((line) => !modulesInSum.has(line.split(' ')[0] ?? ''));
  if (before.size <= 1 && unknown.length > 0) {
    throw new KilnError('dependency-fetch', 'go.sum is missing', {
      where: unknown[0] ?? '',
      hint: 'Run `go mod tidy` and commit go.sum.',
    });
  }
}

/** Module files only: no locks, no lists, no checksum database, and no trace of where a proxy found them. */
async function keep(from: string, to: string): Promise<void> {
  await cp(from, to, {
    recursive: true,
    filter: (source) =>
      !/\.lock$|\.ziphash$|\.partial$|\/list$/.test(source) && !source.startsWith(path.join(from, 'sumdb')),
  }).catch((error: unknown) => {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  });
  for (const name of await readdir(to, { recursive: true })) {
    if (!name.endsWith('.info')) continue;
    const file = path.join(to, name);
    const { Version, Time } = JSON.parse(await readFile(file, 'utf8')) as { Version?: string; Time?: string };
    await writeFile(file, `${JSON.stringify({ Version, Time })}\n`);
  }
  await rm(path.join(to, 'cache'), { recursive: true, force: true });
}

async function describe(
  directory: string,
  manifests: readonly (readonly [string, string])[],
): Promise<readonly Dependency[]> {
  const sums = new Map<string, string>();
  for (const [name, text] of manifests) {
    if (!name.endsWith('.sum')) continue;
    for (const line of text.split('\n')) {
      const match = /^(\S+) (v\S+) (h1:\S+)$/.exec(line);
      if (match !== null && !match[2]?.endsWith('/go.mod'))
        sums.set(`${match[1]}@${match[2]}`, match[3] ?? '');
    }
  }
  const archives = (await readdir(directory, { recursive: true })).filter((name) => name.endsWith('.zip'));
  return archives.sort().map((file) => {
    const match = /^(.*)\/@v\/(.*)\.zip$/.exec(file);
    // Capitals are written as `!` and the small letter in a proxy's paths.
    const plain = (text: string): string =>
      text.replace(/!([a-z])/g, (_, letter: string) => letter.toUpperCase());
    const [name, version] = [plain(match?.[1] ?? file), plain(match?.[2] ?? '')];
    const integrity = sums.get(`${name}@${version}`);
    return {
      name,
      version,
      integrity: integrity ?? 'checked by the checksum database',
      locked: integrity !== undefined,
    };
  });
}

async function goProgram(context: SourceContext): Promise<string> {
  try {
    await runProcess('go', ['version'], context.signal === undefined ? {} : { signal: context.signal });
    return 'go';
  } catch (error) {
    if (!(error instanceof KilnError && error.code === 'tool-missing')) throw error;
  }
  const folder = await context.nix.programFolder('go', context.signal);
  if (folder !== undefined) return path.join(folder, 'go');
  throw new KilnError('tool-missing', 'Downloading Go modules needs the go command', {
    hint: 'Install Go, or commit `go mod vendor`.',
  });
}

async function goSetting(program: string, name: string, context: SourceContext): Promise<string> {
  const result = await runProcess(
    program,
    ['env', name],
    context.signal === undefined ? {} : { signal: context.signal },
  );
  const value = result.stdout.trim();
  return value === '' ? 'direct' : value;
}

function failure(result: ProcessResult): KilnError {
  const lines = result.stderr
    .trim()
    .split('\n')
    .filter((line) => !line.startsWith('go: downloading '));
  const mismatch = lines.some((line) => /checksum mismatch|SECURITY ERROR/.test(line));
  return new KilnError(
    'dependency-fetch',
    mismatch ? 'A Go module is not what go.sum names' : 'Go modules could not be downloaded',
    {
      where: lines.slice(-8).join('\n'),
      hint: mismatch
        ? 'Find out why it changed before you run `go mod tidy`.'
        : 'Check that `go mod download` works on this machine: GOPROXY, GOPRIVATE, credentials.',
    },
  );
}
