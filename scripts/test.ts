/** `npm test [file or part of its name …] [--option-of-node-test …]`: sets the machine up for the tests and runs them. */
import { spawn } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';
import { delimiter, dirname, join, relative, resolve } from 'node:path';
import { describeFailure, isKilnError } from '../src/base/error.ts';
import type { SetupRun } from '../src/setup/debian-prefix.ts';
import { ensureNix } from '../src/setup/install-nix.ts';
import { kilnHome } from '../src/setup/kiln-home.ts';
import { ensureOras } from '../src/setup/oras.ts';
import { findTestTool, installTestTools, serverFolders, TEST_TOOLS } from '../src/setup/test-tools.ts';
import { ensureWorkingRuntime } from '../src/setup/working-runtime.ts';
import { useDockerEngine } from './docker-engine.ts';

const ROOT = join(import.meta.dirname, '..');

const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interrupted.abort());

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const { message, where, hint } = describeFailure(error);
  for (const line of [message, where, hint]) if (line !== undefined) console.error(`npm test: ${line}`);
  process.exitCode = isKilnError(error) ? error.exitCode : 70;
}

async function main(args: readonly string[]): Promise<number> {
  const files = testFiles(args.filter((arg) => !arg.startsWith('-')));
  if (files.length === 0) {
    console.error('npm test: no test file has such a name');
    return 2;
  }
  const run: SetupRun = {
    env: process.env,
    signal: interrupted.signal,
    onProgress: (line) => console.log(`setup: ${line}`),
  };
  const env = await prepare(run);
  await using engine = await useDockerEngine({ ...run, env });
  if (engine.missing !== undefined) console.log(`setup: without Docker: ${engine.missing}`);
  return await runTests(
    files,
    args.filter((arg) => arg.startsWith('-')),
    { ...env, ...engine.env },
  );
}

/** Every test file, or those that are named by path or by a part of their name. */
function testFiles(filters: readonly string[]): string[] {
  const all = globSync('test/**/*.test.ts', { cwd: ROOT }).toSorted();
  if (filters.length === 0) return all;
  const named = filters
    .filter((filter) => existsSync(resolve(filter)))
    .map((filter) => relative(ROOT, resolve(filter)));
  return all.filter((file) => named.includes(file) || filters.some((filter) => file.includes(filter)));
}

/** Installs what is missing and gives the environment in which the tests find it. */
async function prepare(run: SetupRun): Promise<Record<string, string | undefined>> {
  for (const tool of await installTestTools(run)) {
    console.log(`setup: without ${tool.programs[0]} (tests of ${tool.neededFor}): ${tool.reason}`);
  }
  // After the list above: where nothing may be installed, this ends the run.
  const nix = await ensureNix(run);
  const runtime = await ensureWorkingRuntime(run, join(kilnHome(run.env), 'runtime'));
  const chromium = TEST_TOOLS.find((tool) => tool.programs.includes('chromium'));
  const oras = await ensureOras(run).catch((error: unknown) => {
    console.log(`setup: without oras (tests of referrers): ${describeFailure(error).message}`);
    return undefined;
  });
  const path = [
    nix.env['PATH'],
    dirname(runtime.path),
    ...(oras === undefined ? [] : [dirname(oras)]),
    ...(await serverFolders()),
    '/usr/sbin',
    '/sbin',
  ];
  return {
    ...process.env,
    ...nix.env,
    PATH: [...new Set(path.flatMap((folders) => folders?.split(delimiter) ?? []))].join(delimiter),
    KILN_TEST_CHROMIUM: chromium === undefined ? undefined : await findTestTool(chromium, run.env),
    KILN_URL: undefined, // a server that runs on this machine has nothing to do with the tests
    NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] ?? join(ROOT, 'node_modules/.cache/compile'),
  };
}

function runTests(
  files: readonly string[],
  options: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<number> {
  const fixed = [
    '--use-system-ca',
    '--disable-warning=ExperimentalWarning',
    '--test',
    '--test-concurrency=2',
    '--test-reporter=spec',
  ];
  const child = spawn(process.execPath, [...fixed, ...options, ...files], {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...env },
  });
  interrupted.signal.addEventListener('abort', () => child.kill('SIGINT'), { once: true });
  return new Promise((done, fail) => {
    child.on('error', fail);
    child.on('close', (code) => done(code ?? 130));
  });
}
