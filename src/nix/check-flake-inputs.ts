/**
 * Refuses flakes whose inputs are files of this machine. Restricted evaluation does not: Nix copies an input such as
 * `path:/etc` into the store while it locks the flake, before its restrictions apply.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { KilnError } from '../base/error.ts';
import { describeEvaluationFailure } from './evaluation-failure.ts';
import { evaluationSettings, type EvaluationOptions } from './evaluation-settings.ts';
import { machineFailure, nixFailure } from './nix-failure.ts';
import type { NixInstallation } from './nix-installation.ts';
import { NIX_COMMAND, runNixLogged } from './run-nix.ts';

const LOCAL_URL = /^(?:path:\/|\/|~|(?:[a-z]+\+)?file:)/i;

/**
 * Looks at `flake.nix` and `flake.lock` in the source before Nix follows them, then at everything that the flake locks,
 * inputs of inputs included.
 * @throws KilnError evaluation-failed (reason `local-input`), and what evaluation throws
 */
export async function checkFlakeInputs(
  nix: NixInstallation,
  reference: string,
  options: EvaluationOptions & { readonly overrides?: readonly string[] },
): Promise<void> {
  const directory = options.sourceDirectory;
  if (directory !== undefined && existsSync(join(directory, 'flake.nix'))) {
    refuse(findLocal(await statedInputs(nix, join(directory, 'flake.nix'), options)), reference);
    refuse(findLocalNodes(await readLock(join(directory, 'flake.lock'))), reference);
  }
  const { run } = evaluationSettings(options);
  const flake = reference.replace(/#.*$/s, '');
  const overrides = options.overrides ?? [];
  const command = ['flake', 'metadata', '--json', ...NIX_COMMAND, '--no-write-lock-file'];
  const args = [...command, ...overrides, '--', flake];
  const result = await runNixLogged(nix, 'nix', args, run);
  if (result.exitCode !== 0) {
    const text = result.errors.at(-1);
    if (text === undefined) throw nixFailure('nix flake metadata', result);
    throw machineFailure(text) ?? describeEvaluationFailure(text, options);
  }
  const metadata = JSON.parse(result.stdout) as { readonly locks?: unknown };
  // What Kiln itself put in the place of an input is no address of the flake.
  const own = overrides.flatMap((word) => (word.startsWith('path:') ? [word.slice('path:'.length)] : []));
  refuse(findLocalNodes(metadata.locks, own), reference);
}

/** The `inputs` of a `flake.nix`; Nix demands that they are literals, evaluating them costs nothing. */
async function statedInputs(
  nix: NixInstallation,
  file: string,
  options: EvaluationOptions,
): Promise<unknown> {
  const { args, run } = evaluationSettings(options);
  const expression = '{ file }: (import (/. + file)).inputs or { }';
  const result = await runNixLogged(
    nix,
    'nix-instantiate',
    ['--eval', '--strict', '--json', '--expr', expression, '--argstr', 'file', file, ...args],
    { ...run, onEvent: undefined },
  );
  if (result.exitCode === 0) return JSON.parse(result.stdout) as unknown;
  const text = result.errors.at(-1);
  if (text === undefined) throw nixFailure('nix-instantiate', result);
  throw machineFailure(text) ?? describeEvaluationFailure(text, options);
}

async function readLock(file: string): Promise<unknown> {
  const text = await readFile(file, 'utf8').catch(() => '{}');
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new KilnError('evaluation-failed', 'flake.lock is not valid JSON', {
      where: file,
      hint: 'Write it again with `nix flake lock`.',
      fields: { reason: 'lock-file' },
      cause,
    });
  }
}

/** The first address of this machine in a lock file's nodes. */
function findLocalNodes(lock: unknown, allowed: readonly string[] = []): string | undefined {
  return isObject(lock) ? findLocal(lock['nodes'], allowed) : undefined;
}

/** Looks for `url = "path:/…"`, and for `{ type = "path"; path = "/…"; }`, at any depth. */
function findLocal(value: unknown, allowed: readonly string[] = []): string | undefined {
  if (!isObject(value)) return undefined;
  const { url, path, type } = value;
  if (typeof url === 'string' && LOCAL_URL.test(url)) return url;
  const isLocal = typeof path === 'string' && path.startsWith('/') && (type === undefined || type === 'path');
  if (isLocal && !allowed.includes(path)) return path;
  for (const inner of Object.values(value)) {
    const found = findLocal(inner, allowed);
    if (found !== undefined) return found;
  }
  return undefined;
}

function refuse(address: string | undefined, reference: string): void {
  if (address === undefined) return;
  throw new KilnError('evaluation-failed', `The flake has an input on this machine: ${address}`, {
    where: reference,
    hint: 'Put the files into the repository, or name an address that can be fetched (github:, git+https:, https:).',
    fields: { reason: 'local-input', input: address },
  });
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
