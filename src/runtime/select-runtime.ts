/** Picks an OCI runtime that really runs here: which one does depends on the machine's cgroups as much as on what is installed. */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { runContainer, type OciRuntime } from './oci-runtime.ts';
import { runtimeSpec } from './runtime-spec.ts';

/** Why a runtime cannot be used; undefined when it can. */
async function tryRuntime(runtime: OciRuntime, signal?: AbortSignal): Promise<string | undefined> {
  const directory = await mkdtemp(join(tmpdir(), 'kiln-runtime-'));
  try {
    const program = {
      args: ['/bin/true'],
      env: ['PATH=/bin:/usr/bin'],
      cwd: '/',
      uid: process.getuid?.() ?? 0,
      gid: process.getgid?.() ?? 0,
    };
    // The machine's own programs, read-only: every system has something to run.
    const binds = ['/bin', '/usr', '/lib', '/lib64', '/nix']
      .filter((path) => existsSync(path))
      .map((path) => ({ source: path, destination: path }));
    await mkdir(join(directory, 'rootfs'));
    const spec = runtimeSpec(program, { profile: 'default', network: 'loopback', hostname: 'kiln', binds });
    await writeFile(join(directory, 'config.json'), JSON.stringify(spec));
    await using container = await runContainer(
      runtime,
      { directory, [Symbol.asyncDispose]: async () => undefined },
      signal === undefined ? {} : { signal },
    );
    const exit = await container.exited;
    return exit.exitCode === 0 ? undefined : exit.tail.join('\n') || `exit code ${exit.exitCode}`;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/**
 * The first of `candidates` that runs a program here. The answer is remembered in `memoryFile` until a candidate or
 * the kernel changes, so that it costs one file read from then on.
 */
export async function selectRuntime(
  candidates: readonly OciRuntime[],
  memoryFile: string,
  signal?: AbortSignal,
): Promise<{ readonly runtime?: OciRuntime; readonly problems: readonly string[] }> {
  const key = await memoryKey(candidates);
  const remembered = await readFile(memoryFile, 'utf8').catch(() => '');
  const known = candidates.find((candidate) => remembered === `${key}\n${candidate.path}\n`);
  if (known !== undefined) return { runtime: known, problems: [] };
  const problems: string[] = [];
  for (const runtime of candidates) {
    const problem = await tryRuntime(runtime, signal);
    if (problem === undefined) {
      await mkdir(dirname(memoryFile), { recursive: true });
      await writeFile(memoryFile, `${key}\n${runtime.path}\n`);
      return { runtime, problems };
    }
    problems.push(`${runtime.path}: ${problem}`);
  }
  return { problems };
}

async function memoryKey(candidates: readonly OciRuntime[]): Promise<string> {
  const bootId = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '');
  const times = await Promise.all(candidates.map(async (candidate) => (await stat(candidate.path)).mtimeMs));
  return `${bootId.trim()} ${candidates.map((candidate, index) => `${candidate.path}@${times[index]}`).join(' ')}`;
}
