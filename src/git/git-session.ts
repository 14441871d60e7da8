/** Git commands against one remote, with its checked addresses and its credentials. */
import { dirname } from 'node:path';
import { KilnError } from '../base/error.ts';
import { redact, type Secret } from '../base/secret.ts';
import { runProcess, type ProcessResult } from '../process/run-process.ts';
import { secretsOf, type GitCredentials } from './git-credentials.ts';
import {
  defaultKnownHostsFile,
  localEnvironment,
  remoteEnvironment,
  type Environment,
} from './git-environment.ts';
import { describeGitFailure } from './git-failure.ts';
import { checkHost, type HostPolicy } from './host-policy.ts';
import type { GitUrl } from './git-url.ts';
import { makePrivateFolder, type PrivateFolder } from './private-folder.ts';

/** How a remote may be reached and who asks. */
export interface GitAccess {
  readonly credentials?: GitCredentials;
  readonly policy?: HostPolicy;
  /** Use the git and ssh settings of the user who runs this process: for the command line, never for a server. */
  readonly userSettings?: boolean;
  /** File in which host keys are remembered; default `$KILN_HOME/git/known_hosts`. */
  readonly knownHostsFile?: string;
  readonly signal?: AbortSignal;
  /** Milliseconds for each transfer; default 600 000. */
  readonly timeoutMs?: number;
  /** What git says about its progress, without secrets. */
  readonly onProgress?: (text: string) => void;
}

export interface GitSession extends AsyncDisposable {
  readonly url: GitUrl;
  readonly access: GitAccess;
  /** Addresses that were checked and are used. */
  readonly addresses: readonly string[];
  /** Runs git with network and credentials. @throws KilnError by what git said */
  remote(
    args: readonly string[],
    options?: { readonly cwd?: string; readonly timeoutMs?: number },
  ): Promise<ProcessResult>;
}

const TRANSFER_TIMEOUT_MS = 600_000;

/** @throws KilnError git-host-refused, git-network, git-credentials */
export async function openGitSession(url: GitUrl, access: GitAccess = {}): Promise<GitSession> {
  const addresses = await checkHost(url, access.policy ?? {}, access.signal);
  const credentials = access.credentials ?? {};
  let folder: PrivateFolder | undefined;
  const dispose = async (): Promise<void> => await folder?.[Symbol.asyncDispose]();
  try {
    const env = await remoteEnvironment({
      url,
      credentials,
      addresses,
      userSettings: access.userSettings ?? false,
      knownHostsFile: access.knownHostsFile ?? defaultKnownHostsFile(),
      privateFolder: async () => (folder ??= await makePrivateFolder()).path,
    });
    const secrets = secretsOf(url, credentials);
    const remote: GitSession['remote'] = async (args, options = {}) =>
      await runRemote(args, { env, secrets, url, access, cwd: options.cwd, timeoutMs: options.timeoutMs });
    return { url, access, addresses, remote, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** Runs git without network on a folder of this machine. @throws KilnError by what git said, cancelled, tool-missing */
export async function runLocalGit(
  args: readonly string[],
  options: {
    readonly cwd: string;
    readonly signal?: AbortSignal;
    readonly stdin?: string;
  },
): Promise<ProcessResult> {
  // Only this folder's own repository, never one that happens to lie around it.
  const env = { ...localEnvironment(), GIT_CEILING_DIRECTORIES: dirname(options.cwd) };
  const result = await runProcess('git', args, {
    cwd: options.cwd,
    env,
    signal: options.signal,
    stdin: options.stdin,
  });
  if (result.exitCode === 0) return result;
  throw describeGitFailure(result.stderr, result.exitCode, {
    hasToken: false,
    hasSshKey: false,
    secrets: [],
  });
}

interface RemoteRun {
  readonly env: Environment;
  readonly secrets: readonly Secret[];
  readonly url: GitUrl;
  readonly access: GitAccess;
  readonly cwd: string | undefined;
  readonly timeoutMs: number | undefined;
}

async function runRemote(args: readonly string[], run: RemoteRun): Promise<ProcessResult> {
  const { access, url, secrets } = run;
  const timeoutMs = run.timeoutMs ?? access.timeoutMs ?? TRANSFER_TIMEOUT_MS;
  const result = await runProcess('git', args, {
    cwd: run.cwd ?? '/',
    env: run.env,
    signal: access.signal,
    deadlineMs: timeoutMs,
    onLine: (line, stream) => {
      // A line of progress holds all its steps, with carriage returns between; the last one is what counts.
      const shown = stream === 'stderr' ? line.split('\r').findLast((part) => part.trim() !== '') : undefined;
      // Which refs moved in Kiln's own name space says nothing to people.
      if (shown !== undefined && !/^(?:From | [*+t=!-]? )/.test(shown))
        access.onProgress?.(redact(shown, secrets));
    },
  }).catch((error: unknown) => {
    throw describeEnd(error, url, timeoutMs);
  });
  if (result.exitCode === 0) return result;
  throw describeGitFailure(result.stderr, result.exitCode, {
    url,
    hasToken: access.credentials?.accessToken !== undefined,
    hasSshKey: access.credentials?.sshKey !== undefined,
    secrets,
  });
}

function describeEnd(error: unknown, url: GitUrl, timeoutMs: number): unknown {
  if (!(error instanceof KilnError)) return error;
  if (error.code === 'timed-out') {
    return new KilnError(
      'git-network',
      `${url.host || 'git'} did not finish within ${Math.round(timeoutMs / 1000)} s`,
      {
        where: url.href,
        hint: 'Try again; for a large repository use a shallow clone or raise git.timeout in kiln.toml.',
        fields: { reason: 'timeout' },
      },
    );
  }
  if (error.code === 'cancelled') {
    return new KilnError('cancelled', 'Fetching the repository was cancelled', { where: url.href });
  }
  if (error.code === 'tool-missing') {
    return new KilnError('tool-missing', 'git is not installed or not on PATH', {
      hint: 'Install it (Debian: apt-get install git).',
      cause: error,
    });
  }
  return error;
}
