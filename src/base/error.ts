/** The one error class for outcomes a caller can act on, and the one table that says what each code means. */

/** How a failed operation may be tried again: not at all, after a pause, or only after the machine's state changed. */
export type Retry = 'never' | 'backoff';

interface ErrorRule {
  /** HTTP status at the edges. */
  readonly status: number;
  /** Exit code of the command line: 1 the work failed, 2 wrong usage, 3 something needed cannot be reached or started. */
  readonly exit: 1 | 2 | 3;
  readonly retry: Retry;
}

const rule = (status: number, exit: 1 | 2 | 3, retry: Retry = 'never'): ErrorRule => ({
  status,
  exit,
  retry,
});

/** Adding a code without deciding status, exit code and retry does not compile. */
export const ERRORS = {
  usage: rule(400, 2),
  'invalid-input': rule(400, 2),
  'invalid-config': rule(400, 2),
  'invalid-name': rule(400, 2),
  'not-found': rule(404, 1),
  conflict: rule(409, 1),
  forbidden: rule(403, 1),
  unauthorized: rule(401, 1),
  'too-large': rule(413, 1),
  'range-not-satisfiable': rule(416, 1),
  'client-too-slow': rule(408, 1, 'backoff'),
  unsupported: rule(405, 1),
  'rate-limited': rule(429, 1, 'backoff'),
  cancelled: rule(409, 1),
  'timed-out': rule(504, 1),
  'silent-too-long': rule(504, 1),
  'disk-full': rule(507, 3, 'backoff'),
  'tool-missing': rule(503, 3),
  'database-unreachable': rule(503, 3, 'backoff'),
  'database-in-use': rule(503, 3, 'backoff'),
  'database-too-new': rule(503, 3),
  'worker-lost': rule(503, 1, 'backoff'),
  'port-taken': rule(503, 3),
  'nix-failed': rule(500, 3, 'backoff'),
  'syntax-error': rule(422, 1),
  'evaluation-failed': rule(422, 1),
  'build-failed': rule(422, 1),
  'hash-mismatch': rule(422, 1),
  'git-url': rule(400, 2),
  'git-host-refused': rule(403, 2),
  'git-network': rule(502, 1, 'backoff'),
  'git-host-key': rule(502, 1),
  'git-credentials': rule(401, 1),
  'git-not-found': rule(404, 1),
  'git-branch': rule(404, 1),
  'git-failed': rule(502, 1),
  'source-unrecognised': rule(422, 1),
  'dependency-fetch': rule(502, 1, 'backoff'),
  'image-failed': rule(422, 1),
  'image-does-not-start': rule(422, 1),
  'store-path-missing': rule(409, 1),
  'store-path-changed': rule(409, 1),
  corrupt: rule(500, 1),
  'registry-failed': rule(502, 1, 'backoff'),
  unreachable: rule(503, 3, 'backoff'),
} as const satisfies Record<string, ErrorRule>;

export type ErrorCode = keyof typeof ERRORS;

export interface KilnErrorOptions {
  /** What to do about it, as a sentence or a command. */
  readonly hint?: string;
  /** Where it happened: a file position, a derivation, a URL without credentials. May span lines (a source excerpt). */
  readonly where?: string;
  readonly cause?: unknown;
  /** Machine-readable details for `--json` and the API; must hold no secret. */
  readonly fields?: Readonly<Record<string, unknown>>;
}

/** An expected failure: what happened (`message`), where (`where`), what to do (`hint`). Anything else thrown is a bug. */
export class KilnError extends Error {
  override readonly name = 'KilnError';
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly where: string | undefined;
  readonly fields: Readonly<Record<string, unknown>>;

  constructor(code: ErrorCode, message: string, options: KilnErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.where = options.where;
    this.fields = options.fields ?? {};
  }

  get status(): number {
    return ERRORS[this.code].status;
  }

  get exitCode(): 1 | 2 | 3 {
    return ERRORS[this.code].exit;
  }

  get retry(): Retry {
    return ERRORS[this.code].retry;
  }
}

export function isKilnError(error: unknown): error is KilnError {
  return error instanceof KilnError;
}

/** The failure as plain data: for the database, the API and `--json`. */
export interface Failure {
  readonly code: ErrorCode | 'bug';
  readonly message: string;
  readonly where?: string;
  readonly hint?: string;
  readonly fields?: Readonly<Record<string, unknown>>;
}

export const DISK_FULL_HINT =
  'Free space, e.g. with `kiln cache gc`, and try again; nothing that was finished is lost.';

/** Describes anything thrown. A full disk can strike anywhere; other errors that are no {@link KilnError} are bugs, with their stack as `where`. */
export function describeFailure(error: unknown): Failure {
  if (isKilnError(error)) {
    return {
      code: error.code,
      message: error.message,
      ...(error.where === undefined ? {} : { where: error.where }),
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      ...(Object.keys(error.fields).length === 0 ? {} : { fields: error.fields }),
    };
  }
  const code = systemErrorCode(error);
  if (error instanceof Error && (code === 'ENOSPC' || code === 'EDQUOT')) {
    return {
      code: 'disk-full',
      message: code === 'ENOSPC' ? 'The disk is full' : 'The disk quota is used up',
      where: 'path' in error && typeof error.path === 'string' ? error.path : error.message,
      hint: DISK_FULL_HINT,
    };
  }
  if (error instanceof Error) {
    return { code: 'bug', message: error.message, where: error.stack ?? '', hint: 'This is a bug in Kiln.' };
  }
  return { code: 'bug', message: String(error), hint: 'This is a bug in Kiln.' };
}

/** The error code of a system call failure (`ENOENT`, `EADDRINUSE` …), if `error` is one. */
export function systemErrorCode(error: unknown): string | undefined {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return undefined;
}
