/** The pipeline's services from the parts of this process. */
import type { OciDigest, RepositoryName } from '../base/brand.ts';
import { Secret } from '../base/secret.ts';
import type { RequestCredentials } from '../api/kiln-api.ts';
import { LOCAL_USER_POLICY } from '../git/host-policy.ts';
import { createGitAccess } from '../pipeline/git-access.ts';
import type { PipelineServices } from '../pipeline/pipeline-services.ts';
import type { SourceCredentials } from '../source/source-context.ts';
import { fetchBaseImage } from './base-image.ts';
import type { Kiln } from './open-kiln.ts';
import { pushFromCatalog } from './push-from-catalog.ts';
import { pushLater } from './push-later.ts';
import { cacheSettings } from './worker-cache.ts';

export interface ServiceOptions {
  /** The requests come from the person at this machine, not over the network. */
  readonly local: boolean;
  readonly onActivity: (buildId: string, step: string, text: string) => void;
  readonly credentialsOf: (buildId: string) => SourceCredentials;
}

export async function createPipelineServices(kiln: Kiln, options: ServiceOptions): Promise<PipelineServices> {
  const { settings, folders } = kiln;
  const [db, nix, store, roots, catalog] = await Promise.all([
    kiln.db(), kiln.nix(), kiln.store(), kiln.roots(), kiln.catalog(),
  ]); // prettier-ignore
  const registryHost = ownRegistry(settings.listen);
  const external = settings.registry.url?.replace(/^https?:\/\//, '').replace(/\/+$/, '');
  return {
    db, nix, store, roots, catalog, registryHost,
    hasher: kiln.hasher,
    runtime: kiln.runtime,
    clock: kiln.clock,
    env: kiln.env,
    system: nixSystem(),
    workspace: folders.workspace,
    depsCache: folders.dependencies,
    allowLocal: options.local,
    ...(external === undefined || external === registryHost ? {} : { externalRegistry: external }),
    cacheSettings: (workerId) => cacheSettings(kiln, workerId),
    git: createGitAccess({
      mirrorDir: folders.mirrors,
      knownHostsFile: folders.knownHosts,
      userSettings: options.local,
      policy: options.local
        ? LOCAL_USER_POLICY
        : { allowedHosts: settings.git.allowedHosts, allowLoopback: settings.git.allowLoopback },
    }),
    credentialsOf: options.credentialsOf,
    onActivity: options.onActivity,
    pushImage: async (repository, digest, destination, signal) => {
      const result = await pushFromCatalog(kiln, repository as RepositoryName, digest as OciDigest, destination, { signal });
      return result.uploadedBytes;
    },
    baseImage: (reference, base) =>
      fetchBaseImage(kiln, reference, { ...base, system: nixSystem(), registryHost }),
    pushLater: (push, failure) => pushLater(kiln, push, failure),
  }; // prettier-ignore
}

export function toSourceCredentials(credentials: RequestCredentials): SourceCredentials {
  return {
    ...(credentials.accessToken === undefined ? {} : { accessToken: new Secret(credentials.accessToken) }),
    ...(credentials.sshKey === undefined ? {} : { sshKey: new Secret(credentials.sshKey) }),
  };
}

/** The name under which this machine reaches its own registry; Docker trusts `localhost` without TLS. */
export function ownRegistry(listen: { readonly host: string; readonly port: number }): string {
  const host = ['127.0.0.1', '0.0.0.0', '::', '::1'].includes(listen.host) ? 'localhost' : listen.host;
  return `${host}:${listen.port}`;
}

function nixSystem(): string {
  const cpu = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
  return `${cpu}-${process.platform}`;
}
