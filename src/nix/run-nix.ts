/** Starts one of Nix's programs with the installation's environment, and reads its log while it runs. */
import { join } from 'node:path';
import { runProcess, type ProcessResult, type RunOptions } from '../process/run-process.ts';
import { createNixLogReader, type NixEvent } from './internal-json.ts';
import { nixEnvironment, type NixInstallation } from './nix-installation.ts';

export interface RunNixOptions extends Pick<
  RunOptions,
  'cwd' | 'signal' | 'deadlineMs' | 'silenceMs' | 'graceMs' | 'onStart' | 'stdin'
> {
  /** Nix settings; they travel in `NIX_CONFIG`, so that tokens do not show in a process list. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  /** Every line of stderr as it came, for records. */
  readonly onRawLine?: (line: string) => void;
}

export interface NixResult extends ProcessResult {
  /** Messages of level error, oldest first, without colours. */
  readonly errors: readonly string[];
  /** Other messages and stray lines of stderr, the last 200. */
  readonly messages: readonly string[];
}

const KEPT_MESSAGES = 200;

/**
 * Runs `program` with `--log-format internal-json`, whatever its exit code.
 * @throws KilnError tool-missing, timed-out, silent-too-long, cancelled
 */
export async function runNixLogged(
  nix: NixInstallation,
  program: string,
  args: readonly string[],
  options: RunNixOptions & { readonly onEvent?: (event: NixEvent) => void } = {},
): Promise<NixResult> {
  const errors: string[] = [];
  const messages: string[] = [];
  const reader = createNixLogReader((event) => {
    if (event.type === 'error') errors.push(event.text);
    else if (event.type === 'message') {
      messages.push(event.text);
      if (messages.length > KEPT_MESSAGES) messages.shift();
    }
    options.onEvent?.(event);
  });
  const result = await runProcess(join(nix.binDir, program), ['--log-format', 'internal-json', ...args], {
    ...runOptions(nix, options),
    // The reader has taken what matters; a long build's raw log need not be held in memory.
    keepBytes: 2 ** 20,
    onLine: (line, stream) => {
      if (stream === 'stdout') return;
      options.onRawLine?.(line);
      reader(line);
    },
  });
  return { ...result, errors, messages };
}

/** Runs `program` for its output; the log format is the plain one. Same errors as {@link runNixLogged}. */
export async function runNix(
  nix: NixInstallation,
  program: string,
  args: readonly string[],
  options: RunNixOptions = {},
): Promise<ProcessResult> {
  return await runProcess(join(nix.binDir, program), args, {
    ...runOptions(nix, options),
    keepBytes: 256 * 2 ** 20,
    onLine: (line, stream) => {
      if (stream === 'stderr') options.onRawLine?.(line);
    },
  });
}

/** Arguments that make `nix <verb>` work whatever `nix.conf` says. */
export const NIX_COMMAND = ['--extra-experimental-features', 'nix-command flakes'] as const;

function runOptions(nix: NixInstallation, options: RunNixOptions): RunOptions {
  const { settings = {}, env = {}, onRawLine: _, ...rest } = options;
  const environment = { ...nixEnvironment(nix), ...env };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value.replaceAll('\n', ' ')}`);
  const inherited = nix.env['NIX_CONFIG'] ?? process.env['NIX_CONFIG'];
  const config = [...(inherited === undefined ? [] : [inherited]), ...lines].join('\n');
  return { ...rest, env: config === '' ? environment : { ...environment, NIX_CONFIG: config } };
}
