/** Builds or substitutes the outputs of a derivation, with typed events while it runs. */
import type { StorePath } from '../base/brand.ts';
import { KilnError, isKilnError } from '../base/error.ts';
import { parseStorePath } from '../store/store-path.ts';
import { describeBuildFailure } from './build-failure.ts';
import { createLogTails, type LogTails } from './log-tails.ts';
import type { NixEvent } from './internal-json.ts';
import type { NixInstallation } from './nix-installation.ts';
import { NIX_COMMAND, runNixLogged, type RunNixOptions } from './run-nix.ts';

export interface RealiseOptions extends Pick<RunNixOptions, 'signal' | 'onRawLine' | 'onStart'> {
  /** Output names; default all. */
  readonly outputs?: readonly string[];
  /** Limit for the whole call. */
  readonly deadlineMs?: number;
  /** Limit for the silence of a builder, and of Nix itself. */
  readonly silenceMs?: number;
  readonly onEvent?: (event: NixEvent) => void;
  /** Absolute path of a link that keeps the outputs; further outputs get `<gcRoot>-<output>`. Its folder exists. */
  readonly gcRoot?: string;
  /** Nix settings (`substituters`, `sandbox`, `cores` …). */
  readonly settings?: Readonly<Record<string, string>>;
  /** Build again and compare with what is in the store. */
  readonly rebuild?: boolean;
  /** Go on with other derivations after a failure. */
  readonly keepGoing?: boolean;
}

export interface Realised {
  /** Output name → store path. */
  readonly outputs: Readonly<Record<string, StorePath>>;
  /** Derivations that were built by this call, in the order they ended. */
  readonly built: readonly StorePath[];
  /** Paths that were copied from a substituter by this call. */
  readonly substituted: readonly StorePath[];
}

/** Nix should report a silent builder itself: its message names the derivation. */
const GRACE_MS = 15_000;

/**
 * @throws KilnError build-failed, hash-mismatch, timed-out, silent-too-long, cancelled, disk-full, dependency-fetch,
 *   store-path-missing, nix-failed
 */
export async function realise(
  nix: NixInstallation,
  drvPath: StorePath,
  options: RealiseOptions = {},
): Promise<Realised> {
  const tails = createLogTails();
  const built: StorePath[] = [];
  const substituted: StorePath[] = [];
  const result = await runNixLogged(nix, 'nix', buildArguments(drvPath, options), {
    signal: options.signal,
    onStart: options.onStart,
    onRawLine: options.onRawLine,
    deadlineMs: options.deadlineMs,
    silenceMs: options.silenceMs === undefined ? undefined : options.silenceMs + GRACE_MS,
    settings: options.settings,
    onEvent: (event) => {
      tails.add(event);
      if (event.type === 'build-finished' && event.ok) built.push(event.drvPath);
      if (event.type === 'transfer-finished' && event.transfer.kind === 'substitute') {
        substituted.push(parseStorePath(event.transfer.path));
      }
      options.onEvent?.(event);
    },
  }).catch((error: unknown) => {
    throw withPlace(error, drvPath, tails);
  });
  if (result.exitCode !== 0) throw describeBuildFailure(drvPath, result, tails);
  return { outputs: parseOutputs(result.stdout, drvPath), built, substituted };
}

function buildArguments(drvPath: StorePath, options: RealiseOptions): string[] {
  const outputs = options.outputs === undefined ? '*' : options.outputs.join(',');
  const seconds = (ms: number): string => String(Math.max(1, Math.ceil(ms / 1000)));
  return [
    'build',
    ...NIX_COMMAND,
    '--json',
    '-v',
    ...(options.gcRoot === undefined ? ['--no-link'] : ['--out-link', options.gcRoot]),
    ...(options.deadlineMs === undefined ? [] : ['--timeout', seconds(options.deadlineMs)]),
    ...(options.silenceMs === undefined ? [] : ['--max-silent-time', seconds(options.silenceMs)]),
    ...(options.rebuild === true ? ['--rebuild'] : []),
    ...(options.keepGoing === true ? ['--keep-going'] : []),
    `${drvPath}^${outputs}`,
  ];
}

function parseOutputs(stdout: string, drvPath: StorePath): Record<string, StorePath> {
  const results = JSON.parse(stdout) as readonly {
    readonly outputs?: Readonly<Record<string, string | null>>;
  }[];
  const outputs: Record<string, StorePath> = {};
  for (const [name, path] of results.flatMap((result) => Object.entries(result.outputs ?? {}))) {
    if (path !== null) outputs[name] = parseStorePath(path);
  }
  if (Object.keys(outputs).length > 0) return outputs;
  throw new KilnError('nix-failed', 'Nix built the derivation but names no output', { where: drvPath });
}

/** A limit that Kiln itself set off: say what was being built and what it last printed. */
function withPlace(error: unknown, drvPath: StorePath, tails: LogTails): unknown {
  if (!isKilnError(error)) return error;
  const unfinished = tails.unfinished();
  const current = unfinished.at(-1) ?? drvPath;
  const fields = { ...error.fields, drvPath: current, unfinished };
  const where = [current, ...tails.of(current)].join('\n');
  switch (error.code) {
    case 'timed-out':
      return new KilnError('timed-out', 'The build did not end within its time limit', {
        where,
        fields,
        hint: 'Raise the time limit (`--timeout`), or make the build smaller.',
      });
    case 'silent-too-long':
      return new KilnError('silent-too-long', 'The build printed nothing for too long', {
        where,
        fields,
        hint: 'It may wait for input or for the network, which a build does not have; if it is only slow, raise `--silence`.',
      });
    case 'cancelled':
      return new KilnError('cancelled', 'The build was cancelled', { where, fields });
    default:
      return error;
  }
}
