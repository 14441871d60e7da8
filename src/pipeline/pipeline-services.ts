/** What the pipeline works with; opened by the program around it. */
import type { OciDigest, RepositoryName } from '../base/brand.ts';
import type { Clock } from '../base/clock.ts';
import type { Failure } from '../base/error.ts';
import type { Secret } from '../base/secret.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { Database } from '../db/database.ts';
import type { BaseImage } from '../image/build-image.ts';
import type { LayerHasher } from '../image/layer-hasher.ts';
import type { GcRoots } from '../nix/gc-roots.ts';
import type { NixInstallation } from '../nix/nix-installation.ts';
import type { StoreDatabase } from '../nix/store-database.ts';
import type { OciRuntime } from '../runtime/oci-runtime.ts';
import type { GitAccess, SourceCredentials } from '../source/source-context.ts';

export interface LaterPush {
  readonly buildId: string;
  readonly repository: RepositoryName;
  readonly digest: OciDigest;
  readonly destination: string;
}

export interface PipelineServices {
  readonly db: Database;
  readonly nix: NixInstallation;
  readonly store: StoreDatabase;
  readonly roots: GcRoots;
  readonly catalog: Catalog;
  readonly hasher: () => Promise<LayerHasher>;
  readonly runtime: () => Promise<OciRuntime>;
  readonly git: GitAccess;
  readonly clock: Clock;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly system: string;
  readonly workspace: string;
  readonly depsCache: string;
  /** Files of this machine may be built: true on the command line, false for requests from the network. */
  readonly allowLocal: boolean;
  /** Host and port under which clients know the embedded registry. */
  readonly registryHost: string;
  /** Another registry that every image goes to as well, when one is configured. */
  readonly externalRegistry?: string;
  /** Pushes an image of the embedded registry elsewhere. @returns bytes that travelled */
  readonly pushImage: (
    repository: string,
    digest: string,
    destination: string,
    signal: AbortSignal,
  ) => Promise<number>;
  /** Brings a base image into the embedded registry. @throws KilnError not-found, unreachable, unauthorized, image-failed */
  readonly baseImage: (
    reference: string,
    options: { readonly signal: AbortSignal; readonly onProgress: (text: string) => void },
  ) => Promise<BaseImage>;
  /** Remembers a push that failed; it is tried again later, by itself. */
  readonly pushLater: (push: LaterPush, failure: Failure) => Promise<void>;
  /** Secrets given with a request; they live in memory only. */
  readonly credentialsOf: (buildId: string) => SourceCredentials;
  /** Nix settings that name the binary caches to ask besides Nix's own, for builds of that worker (default: this machine's). */
  readonly cacheSettings: (workerId: string | undefined) => Promise<Readonly<Record<string, string>>>;
  /** What a step is doing right now, for whoever follows. */
  readonly onActivity: (buildId: string, step: string, text: string) => void;
}

/** Secrets to keep out of logs. */
export function secretsOf(credentials: SourceCredentials): (Secret | undefined)[] {
  return [credentials.accessToken, credentials.sshKey];
}
