/** The Nix in use: the machine's own if it is recent enough, else the one in Kiln's prefix. */
import { homedir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import type { NixInstallation } from '../nix/nix-installation.ts';
import { runProcess } from '../process/run-process.ts';
import { findPrefix, upstream, type Prefix } from './debian-prefix.ts';
import { isProgram } from './find-program.ts';
import type { Environment } from './kiln-home.ts';

/** Oldest version with everything that Kiln asks of Nix. */
export const OLDEST_NIX = '2.24';

export const NIX_PREFIX = { name: 'nix', program: 'usr/bin/nix' } as const;

/** Looks on PATH, at the places where Nix's installers put it, then in Kiln's prefixes. */
export async function findNix(
  options: { readonly env?: Environment; readonly signal?: AbortSignal } = {},
): Promise<NixInstallation | undefined> {
  const env = options.env ?? process.env;
  for (const nix of await machineNixes(env)) {
    const version = await nixVersion(nix, env, options.signal);
    if (version !== undefined && isAtLeast(version, OLDEST_NIX))
      return machineInstallation(nix, version, env);
  }
  const prefix = await findPrefix(NIX_PREFIX, env);
  return prefix === undefined ? undefined : prefixInstallation(prefix, env);
}

/** What child processes need to use the Nix of a prefix. */
export function prefixInstallation(prefix: Prefix, env: Environment): NixInstallation {
  const binDir = join(prefix.directory, 'kiln/bin');
  const confDir = join(prefix.directory, 'kiln/etc');
  return {
    binDir,
    version: upstream(prefix.version),
    confDir,
    env: { PATH: pathWith(binDir, env), NIX_CONF_DIR: confDir, NIX_BIN_DIR: binDir },
  };
}

/** The version in the output of `nix --version`; derivatives print their own name before it. */
export function parseNixVersion(printed: string): string | undefined {
  return /(\d+\.\d+(?:\.\d+)?)\S*\s*$/.exec(printed.trim().split('\n')[0] ?? '')?.[1];
}

/** Compares dotted numbers. */
export function isAtLeast(version: string, oldest: string): boolean {
  const [a, b] = [version, oldest].map((text) =>
    text.split('.').map((part) => Number.parseInt(part, 10) || 0),
  );
  for (let i = 0; i < Math.max(a?.length ?? 0, b?.length ?? 0); i++) {
    const difference = (a?.[i] ?? 0) - (b?.[i] ?? 0);
    if (difference !== 0) return difference > 0;
  }
  return true;
}

function pathWith(binDir: string, env: Environment): string {
  const rest = (env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '' && folder !== binDir);
  return [binDir, ...rest].join(delimiter);
}

/** Folders in which a machine's own Nix is looked for. */
export function nixPlaces(env: Environment): string[] {
  return [
    ...new Set([
      ...(env['PATH'] ?? '').split(delimiter).filter((folder) => folder.startsWith('/')),
      join(env['HOME'] || homedir(), '.nix-profile/bin'),
      '/nix/var/nix/profiles/default/bin',
      '/run/current-system/sw/bin',
    ]),
  ];
}

async function machineNixes(env: Environment): Promise<string[]> {
  const found: string[] = [];
  for (const folder of nixPlaces(env)) {
    const nix = join(folder, 'nix');
    if (await isProgram(nix)) found.push(nix);
  }
  return found;
}

async function nixVersion(nix: string, env: Environment, signal?: AbortSignal): Promise<string | undefined> {
  const result = await runProcess(nix, ['--version'], { env, signal, deadlineMs: 20_000 }).catch(
    (error: unknown) => {
      if (signal?.aborted) throw error;
      return undefined; // a program of that name which does not run is not a Nix
    },
  );
  return result?.exitCode === 0 ? parseNixVersion(result.stdout) : undefined;
}

/** A PATH that has it already keeps its order. */
function machineInstallation(nix: string, version: string, env: Environment): NixInstallation {
  const binDir = dirname(nix);
  const onPath = (env['PATH'] ?? '').split(delimiter).includes(binDir);
  return { binDir, version, env: { PATH: onPath ? (env['PATH'] ?? '') : pathWith(binDir, env) } };
}
