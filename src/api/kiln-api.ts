/** All that the command line and the pages do, as one interface: in this process or over HTTP, with the same answers. */
import type { Finding } from '../image/finding.ts';
import type { Inspection } from '../image/inspect-image.ts';
import type { ImageConfig } from '../oci/image-config.ts';
import type { LayerRecipe } from '../oci/layer-recipe.ts';
import type { RecordedPlan } from '../pipeline/make-image.ts';
import type { BuildRequest } from '../pipeline/build-request.ts';
import type { ImageApi } from './image-api.ts';
import type { RegistryApi } from './registry-api.ts';
import type { BuildEvent, BuildView, ImageView, LogLineView, LogPosition } from '../pipeline/build-view.ts';

/** Travels beside a request, is never stored with the build and never shown. */
export interface RequestCredentials {
  readonly accessToken?: string;
  /** A private key in OpenSSH's format. */
  readonly sshKey?: string;
}

export interface BuildFilter {
  readonly serviceId?: string;
  readonly status?: string;
  /** 1 to 200; default 50. */
  readonly limit?: number;
}

export interface LogQuery {
  readonly attempt?: number;
  readonly derivation?: string;
}

export interface ImageListEntry {
  readonly reference: string;
  readonly digest: string;
  readonly size: number;
  readonly createdAt: string;
  readonly buildId?: string;
}

export interface ImageDetails extends Omit<ImageView, 'layers'>, Inspection {
  readonly tags: readonly string[];
  /** ISO 8601. */
  readonly pushedAt: string;
  /** The image configuration as it is in the registry; undefined for an index. */
  readonly config: ImageConfig | undefined;
  /** The release before, in the same repository. */
  readonly previous?: { readonly digest: string; readonly size: number };
  /** How the layers were planned. */
  readonly plan?: Pick<RecordedPlan, 'kind' | 'digest'>;
  /** What was seen before its first run. */
  readonly findings: readonly Finding[];
  readonly startChecks: BuildView['startChecks'];
  /** Of an index. */
  readonly members?: readonly { readonly digest: string; readonly platform: string; readonly size: number }[];
  readonly buildId?: string;
}

/** What running an image here needs: its configuration, and its layers where they are recipes of the store. */
export interface RunnableImage {
  readonly reference: string;
  readonly config: ImageConfig;
  readonly layers: readonly { readonly digest: string; readonly recipe?: LayerRecipe }[];
}

export interface Explanation {
  /** Where the expression comes from: a file of the source, or a template and why it was chosen. */
  readonly origin: string;
  readonly expression: string;
  readonly notes: readonly string[];
}

export interface CacheStatistics {
  readonly paths: number;
  /** Bytes of all NARs. */
  readonly size: number;
  readonly hits: number;
  readonly misses: number;
  /** Percent of the store paths that builds needed and found. */
  readonly hitRate: number;
}

export interface KilnApi extends AsyncDisposable {
  /** `this process` or the server's URL. */
  readonly place: string;
  readonly registry: RegistryApi;
  readonly images: ImageApi;
  createBuild(request: BuildRequest, credentials?: RequestCredentials): Promise<BuildView>;
  getBuild(id: string): Promise<BuildView>;
  listBuilds(filter?: BuildFilter): Promise<readonly BuildView[]>;
  /** Everything of the newest attempt, or behind log line `after`, until the build has ended, live. */
  followBuild(
    id: string,
    options: { readonly after?: LogPosition; readonly signal: AbortSignal },
  ): AsyncIterable<BuildEvent>;
  readLog(id: string, query: LogQuery): AsyncIterable<LogLineView>;
  cancelBuild(id: string): Promise<BuildView>;
  retryBuild(id: string): Promise<BuildView>;
  explainBuild(request: BuildRequest, credentials?: RequestCredentials): Promise<Explanation>;
  listImages(): Promise<readonly ImageListEntry[]>;
  /** `NAME`, `NAME:TAG` or `NAME@DIGEST`. */
  getImage(reference: string): Promise<ImageDetails>;
  getRunnable(reference: string): Promise<RunnableImage>;
  deleteImage(reference: string): Promise<void>;
  pushImage(
    reference: string,
    destination: string,
  ): Promise<{ readonly digest: string; readonly uploadedBytes: number }>;
  cacheStatistics(): Promise<CacheStatistics>;
  /** Removes what no root holds. @returns what was, or with `dryRun` would be, removed */
  collectGarbage(options: {
    readonly dryRun: boolean;
    readonly olderThanDays?: number;
  }): Promise<{ readonly paths: number; readonly freedBytes: number }>;
}
