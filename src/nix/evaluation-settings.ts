/** Options and settings that every evaluation is given. */
import type { NixEvent } from './internal-json.ts';
import type { RunNixOptions } from './run-nix.ts';

export interface EvaluationOptions {
  /** Search path: `{ nixpkgs: '/nix/store/…' }`; a URL is fetched. The only thing `<…>` can find. */
  readonly nixPath: Readonly<Record<string, string>>;
  /** The expression reads nothing but `sourceDirectory`, the search path and the allowed addresses. */
  readonly restricted: boolean;
  /** The folder that holds the expression. */
  readonly sourceDirectory?: string;
  /** Names files of `sourceDirectory` in errors as people know them. */
  readonly displayPath?: (file: string) => string;
  /** URI prefixes that may be fetched during a restricted evaluation; default {@link ALLOWED_URIS}. */
  readonly allowedUris?: readonly string[];
  readonly signal?: AbortSignal;
  readonly deadlineMs?: number;
  /** Bytes of heap that the evaluator may use. */
  readonly memoryLimit?: number;
  /** More Nix settings (`access-tokens` …); they do not show in the process list. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly onEvent?: (event: NixEvent) => void;
  readonly onRawLine?: (line: string) => void;
}

/** Public fetchers; `file:` and `path:` are missing on purpose, they would read this machine. */
const ALLOWED_URIS: readonly string[] = [
  'https:',
  'http:',
  'github:',
  'gitlab:',
  'sourcehut:',
  'git+https:',
  'git+ssh:',
  'ssh:',
  'tarball+https:',
  'flake:',
];

interface EvaluationSettings {
  readonly args: readonly string[];
  readonly run: RunNixOptions & { readonly onEvent?: (event: NixEvent) => void };
}

export function evaluationSettings(options: EvaluationOptions): EvaluationSettings {
  const searchPath = Object.entries(options.nixPath).flatMap(([name, path]) => ['-I', `${name}=${path}`]);
  // In restricted mode the search path is also the list of folders that may be read.
  const source =
    options.restricted && options.sourceDirectory !== undefined
      ? ['-I', `kiln-source=${options.sourceDirectory}`]
      : [];
  const restriction: Record<string, string> = options.restricted
    ? { 'restrict-eval': 'true', 'allowed-uris': (options.allowedUris ?? ALLOWED_URIS).join(' ') }
    : {};
  return {
    args: [...searchPath, ...source],
    run: {
      settings: {
        // Settings of the flake itself could name other substituters and hooks.
        'accept-flake-config': 'false',
        'nix-path': '',
        ...restriction,
        ...options.settings,
      },
      env: options.memoryLimit === undefined ? {} : { GC_MAXIMUM_HEAP_SIZE: String(options.memoryLimit) },
      // The evaluator does not look for signals inside its primitives; nothing is lost when it is killed.
      graceMs: 500,
      signal: options.signal,
      deadlineMs: options.deadlineMs,
      onEvent: options.onEvent,
      onRawLine: options.onRawLine,
    },
  };
}
