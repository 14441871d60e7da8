/** The public class for repositories: judge an address, look at branches, clone, and read commits. */
import { isKilnError, type ErrorCode } from '../base/error.ts';
import { Secret } from '../base/secret.ts';
import { cloneRepository, type CloneResult } from './clone-repository.ts';
import { readCommit, type CommitInfo } from './commit-info.ts';
import type { GitAccess } from './git-session.ts';
import { parseGitUrl, type GitForge, type GitUrl } from './git-url.ts';
import { checkHost, checkHostName, type HostPolicy } from './host-policy.ts';
import { listRefs, resolveRef, type RemoteRefs } from './remote-refs.ts';

/** Options of every call that may reach a remote. Credentials never show in arguments, addresses, logs or errors. */
export interface GitRemoteOptions {
  /** For https:// addresses. */
  readonly accessToken?: string | Secret;
  /** Login name beside the token; default: what the forge expects. */
  readonly username?: string;
  /** Private key (its text) for SSH addresses. */
  readonly sshKey?: string | Secret;
  /** Lines of a known_hosts file; with them only these host keys are accepted. */
  readonly knownHosts?: string;
  /** File in which host keys seen for the first time are kept; default `$KILN_HOME/git/known_hosts`. */
  readonly knownHostsFile?: string;
  /** Hosts and networks that may be used although they are private, and over http://. */
  readonly allowedHosts?: readonly string[];
  /** Allows hosts of this machine. */
  readonly allowLoopback?: boolean;
  /** Allows `file://` and paths; only for callers that act for a user of this machine. */
  readonly allowLocal?: boolean;
  /** The user's own git and ssh settings apply; only for callers that act for a user of this machine. */
  readonly userSettings?: boolean;
  readonly signal?: AbortSignal;
  /** Seconds; default 600. */
  readonly timeout?: number;
  readonly onProgress?: (text: string) => void;
}

export interface ValidateGitUrlOptions extends GitRemoteOptions {
  /** Also asks the remote whether this branch (or tag, or commit) can be read. */
  readonly branch?: string;
  /** Also asks the remote whether it can be read at all. */
  readonly checkAccess?: boolean;
}

export interface GitValidation {
  readonly valid: boolean;
  /** The address as Kiln will use it. */
  readonly url?: string;
  readonly forge?: GitForge;
  /** Branch or tag, and its newest commit, where the remote was asked. */
  readonly branch?: string;
  readonly commitSha?: string;
  /** What is wrong, where, and what to do. */
  readonly error?: string;
  readonly where?: string;
  readonly hint?: string;
  readonly code?: ErrorCode;
}

export interface CloneRepositoryOptions extends GitRemoteOptions {
  /** Branch or tag; default: the remote's HEAD. */
  readonly branch?: string;
  /** A commit to check out instead of the newest one. */
  readonly commit?: string;
  /** Without history, or with `depth` commits of it. Default true. */
  readonly shallow?: boolean;
  /** Commits of history for a shallow clone; default 1. */
  readonly depth?: number;
  /** Default false. */
  readonly submodules?: boolean;
  /** Must exist inside the repository; see `root` of the result. */
  readonly subdirectory?: string;
  /** Removes `.git` at the end. Default false. */
  readonly contentOnly?: boolean;
  /** Folder of mirrors, so that the next clone of the address fetches only what is new. */
  readonly mirrorDir?: string;
}

export interface CloneRepositoryResult extends CloneResult {
  /** The same as `commit.sha`. */
  readonly commitSha: string;
}

/** Repositories over https://, ssh and, where allowed, http:// and local paths. See {@link parseGitUrl} for what is refused. */
export class GitIntegration {
  /**
   * Judges an address: its form, its transport and its host; with `branch` or `checkAccess` also asks the remote.
   * Never throws for an address or remote that is wrong: `valid` is false and `error` and `hint` say why.
   */
  static async validateGitUrl(url: string, options: ValidateGitUrlOptions = {}): Promise<GitValidation> {
    return await validation(async () => {
      const parsed = parse(url, options);
      const base = {
        valid: true,
        url: parsed.href,
        ...(parsed.forge === undefined ? {} : { forge: parsed.forge }),
      };
      if (options.branch !== undefined || options.checkAccess === true) {
        const { name, sha } = await resolveRef(parsed, options.branch, accessOf(options));
        return { ...base, branch: name, commitSha: sha };
      }
      await judgeHost(parsed, policyOf(options), options.signal);
      return base;
    });
  }

  /** Whether `branch` (or a tag, or a commit) of the repository can be read with the given credentials. */
  static async validateBranch(
    url: string,
    branch: string,
    options: GitRemoteOptions = {},
  ): Promise<GitValidation> {
    return await GitIntegration.validateGitUrl(url, { ...options, branch });
  }

  /** Branches and tags with their commits. @throws KilnError git-* */
  static async listBranches(url: string, options: GitRemoteOptions = {}): Promise<RemoteRefs> {
    return await listRefs(parse(url, options), accessOf(options));
  }

  /**
   * Clones into `directory`, which must be missing or empty; after a failure it is as it was.
   * @throws KilnError git-url, git-host-refused, git-network, git-host-key, git-credentials, git-not-found, git-branch, disk-full, cancelled
   */
  static async cloneRepository(
    url: string,
    directory: string,
    options: CloneRepositoryOptions = {},
  ): Promise<CloneRepositoryResult> {
    const result = await cloneRepository(parse(url, options), directory, {
      ...accessOf(options),
      ref: options.commit ?? options.branch,
      depth: options.shallow === false ? 0 : (options.depth ?? 1),
      submodules: options.submodules,
      subdirectory: options.subdirectory,
      contentOnly: options.contentOnly,
      mirrorDir: options.mirrorDir,
    });
    return { ...result, commitSha: result.commit.sha };
  }

  /** A commit of the repository in `directory`; default the one checked out. @throws KilnError not-found, git-branch, git-not-found */
  static async getCommitInfo(directory: string, sha?: string): Promise<CommitInfo> {
    return await readCommit(directory, sha);
  }
}

function parse(url: string, options: GitRemoteOptions): GitUrl {
  return parseGitUrl(url, { allowLocal: options.allowLocal });
}

function policyOf(options: GitRemoteOptions): HostPolicy {
  const { allowedHosts, allowLoopback, allowLocal } = options;
  return { allowedHosts, allowLoopback, allowLocal };
}

function accessOf(options: GitRemoteOptions): GitAccess {
  return {
    credentials: {
      accessToken: secretOf(options.accessToken),
      username: options.username,
      sshKey: secretOf(options.sshKey),
      knownHosts: options.knownHosts,
    },
    policy: policyOf(options),
    userSettings: options.userSettings,
    knownHostsFile: options.knownHostsFile,
    signal: options.signal,
    timeoutMs: options.timeout === undefined ? undefined : options.timeout * 1000,
    onProgress: options.onProgress,
  };
}

function secretOf(value: string | Secret | undefined): Secret | undefined {
  if (value === undefined || value === '') return undefined;
  return value instanceof Secret ? value : new Secret(value);
}

/** A host that cannot be looked up right now does not make the address wrong; that shows when it is used. */
async function judgeHost(url: GitUrl, policy: HostPolicy, signal?: AbortSignal): Promise<void> {
  checkHostName(url, policy);
  await checkHost(url, policy, signal).catch((error: unknown) => {
    if (!isKilnError(error) || error.code !== 'git-network') throw error;
  });
}

async function validation(judge: () => Promise<GitValidation>): Promise<GitValidation> {
  try {
    return await judge();
  } catch (error) {
    if (!isKilnError(error)) throw error;
    const { message, where, hint, code } = error;
    return {
      valid: false,
      error: message,
      code,
      ...(where === undefined ? {} : { where }),
      ...(hint === undefined ? {} : { hint }),
    };
  }
}
