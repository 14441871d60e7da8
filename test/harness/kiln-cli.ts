/** The `kiln` program as people start it, each file of tests with a KILN_HOME of its own. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Failure } from '../../src/base/error.ts';
import type { BuildView } from '../../src/pipeline/build-view.ts';

export const KILN = fileURLToPath(new URL('../../bin/kiln', import.meta.url));

export interface KilnHome extends Disposable {
  readonly path: string;
  /** For programs that use this home and nothing of the person who runs the tests. */
  readonly env: NodeJS.ProcessEnv;
}

export interface CliOptions {
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly stdin?: string;
  readonly cwd?: string;
  readonly uid?: number;
  readonly signal?: AbortSignal;
}

export interface CliResult {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** @param settings text of the server's kiln.toml */
export function kilnHome(settings = ''): KilnHome {
  const path = mkdtempSync(join(tmpdir(), 'kiln-home-'));
  const config = join(path, 'kiln.toml');
  writeFileSync(config, settings);
  const { KILN_URL: _url, DATABASE_URL: _database, NIX_PATH: _nixPath, ...inherited } = process.env;
  return {
    path,
    env: { ...inherited, KILN_HOME: path, KILN_CONFIG: config, NO_COLOR: '1' },
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  };
}

/** Runs `kiln` to its end, whatever its exit code. */
export function runKiln(
  home: KilnHome,
  args: readonly string[],
  options: CliOptions = {},
): Promise<CliResult> {
  const child = spawn(KILN, args, {
    env: { ...home.env, ...options.env },
    cwd: options.cwd ?? tmpdir(),
    ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid }),
    ...(options.signal === undefined ? {} : { signal: options.signal, killSignal: 'SIGINT' }),
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.stdin ?? '');
  return new Promise((resolve, reject) => {
    child.on('error', (error) => error.name === 'AbortError' || reject(error));
    child.on('close', (exitCode) => resolve({ exitCode, stdout, stderr }));
  });
}

/** `kiln build - --json` of an expression. */
export async function buildExpression(
  home: KilnHome,
  expression: string,
  args: readonly string[] = [],
  options: Omit<CliOptions, 'stdin'> = {},
): Promise<{ readonly exitCode: number | null; readonly build: BuildView; readonly stderr: string }> {
  const result = await runKiln(home, ['build', '-', '--json', ...args], { ...options, stdin: expression });
  return { exitCode: result.exitCode, build: parseBuild(result), stderr: result.stderr };
}

export function parseBuild(result: CliResult): BuildView {
  const build = JSON.parse(result.stdout || '{}') as BuildView & { readonly error?: Failure };
  if (build.id === undefined) throw new Error(`no build came out: ${result.stdout}${result.stderr}`);
  return build;
}

/** The error of a command that did not get as far as a build. */
export function parseError(result: CliResult): Failure {
  const { error } = JSON.parse(result.stdout || '{}') as { readonly error?: Failure };
  if (error === undefined) throw new Error(`no error came out: ${result.stdout}${result.stderr}`);
  return error;
}

/** A derivation that runs one command with the sandbox's own shell: neither packages nor downloads. */
export function derivation(name: string, script: string, more = ''): string {
  return `derivation { name = ${nixString(name)}; system = builtins.currentSystem; builder = "/bin/sh"; args = [ "-c" ${nixString(script)} ]; ${more} }`;
}

export function nixString(text: string): string {
  return `"${text.replace(/[\\"]/g, '\\$&').replaceAll('${', '\\${').replaceAll('\n', '\\n')}"`;
}
