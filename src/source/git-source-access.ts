/** Git as sources use it: the real client, with this build's limits on where it may connect. */
import { cloneRepository } from '../git/clone-repository.ts';
import type { GitAccess as RemoteAccess } from '../git/git-session.ts';
import { parseGitUrl } from '../git/git-url.ts';
import { LOCAL_USER_POLICY, type HostPolicy } from '../git/host-policy.ts';
import { resolveRef } from '../git/remote-refs.ts';
import type { GitAccess } from './source-context.ts';

export interface GitSourceOptions {
  /** The person at this machine asks: their paths, their network, their Git settings. */
  readonly localUser: boolean;
  /** For others; see `HostPolicy`. */
  readonly policy?: HostPolicy;
  /** Keeps what was fetched between builds. */
  readonly mirrorDir?: string;
  readonly knownHostsFile?: string;
}

export function gitSourceAccess(options: GitSourceOptions): GitAccess {
  const policy = options.localUser ? LOCAL_USER_POLICY : (options.policy ?? {});
  const parse = (url: string): ReturnType<typeof parseGitUrl> =>
    parseGitUrl(url, { allowLocal: policy.allowLocal === true });
  const shared: RemoteAccess = {
    policy,
    userSettings: options.localUser,
    ...(options.knownHostsFile === undefined ? {} : { knownHostsFile: options.knownHostsFile }),
  };
  return {
    async resolveRef(url, { ref, credentials, signal }) {
      const found = await resolveRef(parse(url), ref, {
        ...shared,
        credentials,
        ...(signal === undefined ? {} : { signal }),
      });
      return { sha: found.sha, ...(found.kind === 'branch' ? { branch: found.name } : {}) };
    },
    async checkOut(
      url,
      directory,
      { sha, ref, submodules, shallow, depth, credentials, signal, onProgress },
    ) {
      const clone = await cloneRepository(parse(url), directory, {
        ...shared,
        credentials,
        // The branch first: a server may refuse to give out a commit by its number.
        ref: ref ?? sha,
        depth: shallow === false ? 0 : (depth ?? 1),
        submodules: submodules ?? false,
        ...(options.mirrorDir === undefined ? {} : { mirrorDir: options.mirrorDir }),
        ...(signal === undefined ? {} : { signal }),
        ...(onProgress === undefined ? {} : { onProgress }),
      });
      for (const warning of clone.warnings) onProgress?.(`warning: ${warning}`);
      return clone.commit;
    },
  };
}
