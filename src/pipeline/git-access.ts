/** Git as the sources need it, with Kiln's mirror folder, host policy and the request's credentials. */
import { rename } from 'node:fs/promises';
import { cloneRepository } from '../git/clone-repository.ts';
import { parseGitUrl } from '../git/git-url.ts';
import type { HostPolicy } from '../git/host-policy.ts';
import { resolveRef } from '../git/remote-refs.ts';
import type { GitAccess, SourceCredentials } from '../source/source-context.ts';

export interface GitAccessOptions {
  readonly mirrorDir: string;
  readonly knownHostsFile: string;
  readonly policy: HostPolicy;
  /** The user's own git and ssh settings may be used: only on the command line. */
  readonly userSettings: boolean;
}

export function createGitAccess(options: GitAccessOptions): GitAccess {
  const access = (
    credentials: SourceCredentials,
    signal?: AbortSignal,
    onProgress?: (line: string) => void,
  ) => ({
    credentials,
    policy: options.policy,
    userSettings: options.userSettings,
    knownHostsFile: options.knownHostsFile,
    ...(signal === undefined ? {} : { signal }),
    ...(onProgress === undefined ? {} : { onProgress }),
  });
  const parse = (url: string): ReturnType<typeof parseGitUrl> =>
    parseGitUrl(url, { allowLocal: options.policy.allowLocal ?? false });
  return {
    async resolveRef(url, { ref, credentials, signal }) {
      const resolved = await resolveRef(parse(url), ref, access(credentials, signal));
      return { sha: resolved.sha, ...(resolved.kind === 'branch' ? { branch: resolved.name } : {}) };
    },
    async checkOut(url, directory, checkout) {
      const { sha, submodules, shallow, depth, credentials, signal, onProgress } = checkout;
      const clone = await cloneRepository(parse(url), directory, {
        ...access(credentials, signal, onProgress),
        ref: sha,
        depth: shallow === false ? 0 : (depth ?? 1),
        submodules: submodules ?? false,
        mirrorDir: options.mirrorDir,
      });
      if (clone.directory !== directory) await rename(clone.directory, directory);
      for (const warning of clone.warnings) onProgress?.(`warning: ${warning}`);
      return clone.commit;
    },
  };
}
