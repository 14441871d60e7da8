/** What git's messages (in the C locale) mean, and what to do about each. */
import { KilnError, type ErrorCode } from '../base/error.ts';
import { redact, type Secret } from '../base/secret.ts';
import type { GitUrl } from './git-url.ts';

export interface GitFailureContext {
  readonly url?: GitUrl;
  readonly hasToken: boolean;
  readonly hasSshKey: boolean;
  readonly secrets: readonly Secret[];
}

interface FailureRule {
  readonly pattern: RegExp;
  readonly code: ErrorCode;
  /** Machine-readable kind, in the error's fields. */
  readonly reason: string;
  readonly message: (context: GitFailureContext, match: RegExpExecArray) => string;
  readonly hint: (context: GitFailureContext) => string;
}

const host = (context: GitFailureContext): string => context.url?.host ?? 'the host';

const againHint = (): string => 'This passes by itself as a rule; try again.';

/** First match wins: what is more certain stands first. */
const RULES: readonly FailureRule[] = [
  {
    pattern: /No space left on device|Disk quota exceeded|disk quota exceeded/,
    code: 'disk-full',
    reason: 'disk-full',
    message: () => 'The disk is full: the repository could not be written',
    hint: () => 'Free some space (`kiln cache gc` removes old results), then try again.',
  },
  {
    pattern: /REMOTE HOST IDENTIFICATION HAS CHANGED|POSSIBLE DNS SPOOFING/,
    code: 'git-host-key',
    reason: 'host-key-changed',
    message: (context) => `The SSH host key of ${host(context)} is not the one seen before`,
    hint: (context) =>
      `If the operator of ${host(context)} confirms the new key, remove the old one with ` +
      '`ssh-keygen -R HOST -f KNOWN_HOSTS_FILE`; otherwise somebody may be between you and it.',
  },
  {
    pattern: /Host key verification failed|No \S+ host key is known/,
    code: 'git-host-key',
    reason: 'host-key-unknown',
    message: (context) => `The SSH host key of ${host(context)} is not among the known ones`,
    hint: (context) =>
      `Add the output of \`ssh-keyscan ${host(context)}\` to knownHosts, after comparing it with what the forge publishes.`,
  },
  {
    pattern:
      /Load key "?[^"\n]*"?: (?!Permission denied)([^\n]*)|error in libcrypto|UNPROTECTED PRIVATE KEY FILE/,
    code: 'git-credentials',
    reason: 'key-unreadable',
    message: () => 'ssh cannot read the SSH key',
    hint: () => 'Give the whole private key file, from its BEGIN line to its END line.',
  },
  {
    pattern: /Permission denied \(|Too many authentication failures|no such identity/,
    code: 'git-credentials',
    reason: 'key-refused',
    message: (context) =>
      context.hasSshKey
        ? `${host(context)} does not accept the SSH key`
        : `${host(context)} wants an SSH key`,
    hint: (context) =>
      context.hasSshKey
        ? 'Add its public half to the repository as a deploy key, or check that the login name is right (mostly "git").'
        : 'Give one with `sshKey` (`--ssh-key FILE`), or use the https:// address.',
  },
  {
    pattern:
      /Could not resolve host(?:name)?:? ?([^\s:;]*)|Name or service not known|Temporary failure in name resolution/,
    code: 'git-network',
    reason: 'dns',
    message: (context) => `The host ${host(context)} could not be looked up`,
    hint: () => 'Check the spelling of the host, and that this machine has DNS and network.',
  },
  {
    pattern: /certificate|SSL connect error|TLS|SSL_|gnutls|schannel/i,
    code: 'git-network',
    reason: 'tls',
    message: (context) =>
      `The TLS connection to ${host(context)} failed: its certificate or protocol is not accepted`,
    hint: () =>
      'If the host uses an authority of your own, name its certificate file in the environment variable GIT_SSL_CAINFO.',
  },
  {
    pattern:
      /Connection refused|Failed to connect to|Couldn't connect to server|No route to host|Network is unreachable|Connection reset/,
    code: 'git-network',
    reason: 'connect',
    message: (context) => `${host(context)} cannot be reached on port ${context.url?.port ?? '?'}`,
    hint: () => 'Check the address and port, the network, and any firewall or proxy between.',
  },
  {
    pattern: /timed out|Timeout|Operation too slow|less than 1 bytes\/sec/i,
    code: 'git-network',
    reason: 'timeout',
    message: (context) => `${host(context)} did not answer in time`,
    hint: againHint,
  },
  {
    pattern: /returned error: 429|rate limit/i,
    code: 'rate-limited',
    reason: 'rate-limited',
    message: (context) => `${host(context)} refuses more requests for now`,
    hint: () => 'Wait a few minutes; with an access token the limits are higher.',
  },
  {
    pattern: /returned error: 30[12378]|unable to update url base from redirection/,
    code: 'git-failed',
    reason: 'redirected',
    message: () => 'The address answers with a redirect, which is not followed',
    hint: () =>
      'Use the address that it leads to (often the same with ".git" at the end, or the new name of the repository).',
  },
  {
    pattern:
      /Authentication failed|could not read (?:Username|Password)|terminal prompts disabled|Access denied|returned error: 40[13]|Invalid username or (?:password|token)/i,
    code: 'git-credentials',
    reason: 'token-refused',
    message: (context) =>
      context.hasToken
        ? `${host(context)} does not accept the access token for this repository`
        : `${host(context)} wants credentials: the repository is private or does not exist`,
    hint: (context) =>
      context.hasToken
        ? 'Check that the token has not expired and may read this repository (GitHub: "Contents: read"; GitLab: "read_repository").'
        : `Check the address; for a private repository give an access token (\`accessToken\`, \`--token-file\`)${
            context.hasSshKey ? '; an SSH key is only used with git@host:path addresses' : ''
          }.`,
  },
  {
    pattern: /couldn't find remote ref|Remote branch \S+ not found|no such remote ref/i,
    code: 'git-branch',
    reason: 'ref-missing',
    message: () => 'The branch or tag does not exist in the repository',
    hint: () => 'List them with `git ls-remote ADDRESS`.',
  },
  {
    pattern: /not our ref|unadvertised object|couldn't find remote object/,
    code: 'git-branch',
    reason: 'commit-missing',
    message: () => 'The commit does not exist in the repository',
    hint: () => 'Check the commit, and that it was pushed.',
  },
  {
    pattern: /dubious ownership/,
    code: 'forbidden',
    reason: 'ownership',
    message: () => 'The repository on this machine belongs to another user',
    hint: () => 'If you trust it: git config --global --add safe.directory PATH.',
  },
  {
    pattern:
      /repository '[^'\n]*' not found|Repository not found|does not appear to be a git repository|returned error: 404|could not be found|not valid: is this a git repository|does not exist|not a git repository/i,
    code: 'git-not-found',
    reason: 'not-found',
    message: (context) => `There is no such repository${context.url === undefined ? '' : ' at this address'}`,
    hint: (context) =>
      context.hasToken || context.hasSshKey
        ? 'Check the spelling, and that the credentials may read it: forges answer "not found" when they may not.'
        : 'Check the spelling; a private repository needs an access token or an SSH key.',
  },
  {
    pattern: /transport '([^']*)' not allowed/,
    code: 'git-url',
    reason: 'transport',
    message: (_, match) => `The transport "${match[1] ?? ''}" is not allowed`,
    hint: () => 'Use an https:// or ssh:// address.',
  },
  {
    pattern: /cannot run ssh|ssh: (?:command )?not found/,
    code: 'tool-missing',
    reason: 'ssh-missing',
    message: () => 'ssh is not installed or not on PATH',
    hint: () =>
      'Install the OpenSSH client (Debian: apt-get install openssh-client), or use the https:// address.',
  },
  {
    pattern:
      /early EOF|unexpected disconnect|RPC failed|hung up unexpectedly|returned error: 5\d\d|Empty reply|Connection closed/,
    code: 'git-network',
    reason: 'interrupted',
    message: (context) => `The connection to ${host(context)} broke off`,
    hint: againHint,
  },
  {
    pattern: /invalid path '([^'\n]*)'/,
    code: 'git-failed',
    reason: 'invalid-path',
    message: (_, match) => `The repository holds a path that git refuses to write: ${match[1] ?? ''}`,
    hint: () => "Rename it in the repository; such a name could reach into git's own files.",
  },
];

/** @param stderr what git printed; the error shows its end, without secrets */
export function describeGitFailure(stderr: string, exitCode: number, context: GitFailureContext): KilnError {
  const text = redact(stderr, context.secrets);
  const where = [context.url?.href, lastLines(text)]
    .filter((part) => part !== undefined && part !== '')
    .join('\n');
  for (const rule of RULES) {
    const match = rule.pattern.exec(text);
    if (match === null) continue;
    return new KilnError(rule.code, rule.message(context, match), {
      where,
      hint: rule.hint(context),
      fields: { reason: rule.reason },
    });
  }
  return new KilnError('git-failed', `git failed with exit code ${exitCode}`, {
    where,
    hint:
      context.url === undefined
        ? 'See what git printed above.'
        : `Try \`git ls-remote ${context.url.href}\` by hand.`,
    fields: { reason: 'unknown' },
  });
}

/** The machine-readable kind of a failure made by {@link describeGitFailure}. */
export function failureReason(error: unknown): string | undefined {
  const reason = error instanceof KilnError ? error.fields['reason'] : undefined;
  return typeof reason === 'string' ? reason : undefined;
}

function lastLines(text: string): string {
  const lines = text
    .split(/[\r\n]+/)
    .filter(
      (line) =>
        line.trim() !== '' &&
        !/^(?:remote: )?(?:Enumerating|Counting|Compressing|Receiving|Resolving)/.test(line),
    );
  return lines.slice(-6).join('\n').slice(-1500);
}
