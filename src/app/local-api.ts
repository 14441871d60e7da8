/** Kiln's functions in this process, over its own database, store and registry. */
import { EventEmitter } from 'node:events';
import type {
  BuildFilter,
  Explanation,
  ImageDetails,
  ImageListEntry,
  KilnApi,
  LogQuery,
  RequestCredentials,
  RunnableImage,
} from '../api/kiln-api.ts';
import type { ImageApi } from '../api/image-api.ts';
import type { RegistryApi } from '../api/registry-api.ts';
import { KilnError } from '../base/error.ts';
import { findTemplate } from '../source/templates/list-templates.ts';
import { cancelBuild, enqueueBuild, retryBuild } from '../build/build-queue.ts';
import { listBuilds } from '../build/build-queries.ts';
import type { BuildStatus } from '../build/build-record.ts';
import { readLog } from '../build/read-log.ts';
import { readBuildState } from '../build/watch-build.ts';
import { queuePlaces } from '../build/queue-queries.ts';
import { startBuildWorker, type BuildWorker } from '../build/build-worker.ts';
import type { ImageSummary } from '../catalog/image-details.ts';
import { explainSource } from '../source/explain-source.ts';
import { createExecuteBuild } from '../pipeline/execute-build.ts';
import { followBuild } from '../pipeline/follow-build.ts';
import { slugOf } from '../pipeline/image-name.ts';
import type { BuildRequest } from '../pipeline/build-request.ts';
import type { BuildView, LogLineView, LogPosition } from '../pipeline/build-view.ts';
import { sourceContextOf } from '../pipeline/source-context.ts';
import { viewBuild, viewLine } from '../pipeline/view-build.ts';
import type { SourceCredentials } from '../source/source-context.ts';
import { collectGarbage, readCacheStatistics } from './cache-functions.ts';
import { inspectStoredImage } from './inspect-stored-image.ts';
import { createLocalImageApi } from './local-image-api.ts';
import { createLocalRegistryApi } from './local-registry-api.ts';
import type { Kiln } from './open-kiln.ts';
import { pushFromCatalog } from './push-from-catalog.ts';
import { startPendingPushes } from './push-later.ts';
import { createPipelineServices, ownRegistry, toSourceCredentials } from './pipeline-services.ts';
import { ownReference, storedConfig, storedImage } from './stored-image.ts';

export interface LocalApiOptions {
  /** False where requests come over the network. Default true. */
  readonly local?: boolean;
  /** Somebody waits: what the machine got wrong is tried again once and soon, not three times over minutes. */
  readonly interactive?: boolean;
}

const ACTIVITY = 'activity';

export function createLocalApi(kiln: Kiln, options: LocalApiOptions = {}): LocalApi {
  return new LocalApi(kiln, options);
}

export class LocalApi implements KilnApi {
  readonly place = 'this process';
  readonly registry: RegistryApi;
  readonly images: ImageApi;
  readonly #kiln: Kiln;
  /** Of the embedded registry. */
  readonly #host: string;
  readonly #local: boolean;
  readonly #interactive: boolean;
  readonly #activity = new EventEmitter({ captureRejections: true }).setMaxListeners(0);
  /** Secrets of requests, until their build has ended. */
  readonly #credentials = new Map<string, SourceCredentials>();
  #worker: Promise<BuildWorker> | undefined;
  #pushes: AsyncDisposable | undefined;

  constructor(kiln: Kiln, options: LocalApiOptions) {
    this.#kiln = kiln;
    this.#local = options.local ?? true;
    this.#interactive = options.interactive ?? false;
    this.#host = ownRegistry(kiln.settings.listen);
    this.registry = createLocalRegistryApi(kiln);
    this.images = createLocalImageApi(kiln, this.#host);
  }

  /** Starts taking builds from the queue; builds that a dead process left behind are dealt with first. */
  async startWorker(): Promise<BuildWorker> {
    this.#worker ??= this.#openWorker();
    return await this.#worker;
  }

  async createBuild(request: BuildRequest, credentials: RequestCredentials = {}): Promise<BuildView> {
    if (!this.#local) refuseLocalSources(request);
    const db = await this.#kiln.db();
    const { source, options, serviceId, organizationId, ...release } = request;
    // A name that cannot be right is refused at once, not as a failed build.
    if (source.kind === 'template') findTemplate(source.template);
    const { build } = await enqueueBuild(
      db,
      {
        serviceId,
        ...(organizationId === undefined ? {} : { organizationId }),
        slug: release.name ?? slugOf(source),
        source,
        options,
        settings: release,
        // Only a service has a newest push; builds from the command line stand for themselves.
        ...(source.kind === 'git' && serviceId !== 'default'
          ? { supersedesBranch: source.ref ?? 'HEAD' }
          : {}),
      },
      this.#kiln.clock,
    );
    this.#credentials.set(build.id, toSourceCredentials(credentials));
    await this.startWorker();
    return await this.getBuild(build.id);
  }

  async getBuild(id: string): Promise<BuildView> {
    return await viewBuild(await readBuildState(await this.#kiln.db(), id), await this.#kiln.catalog());
  }

  async listBuilds(filter: BuildFilter = {}): Promise<readonly BuildView[]> {
    const db = await this.#kiln.db();
    const builds = await listBuilds(db, {
      ...filter,
      status: checkStatus(filter.status),
      limit: Math.min(filter.limit ?? 50, 200),
    });
    const places = builds.some((build) => build.status === 'pending') ? await queuePlaces(db) : [];
    return await Promise.all(
      builds.map((build) =>
        viewBuild({ build, steps: [], place: places.find((place) => place.buildId === build.id) }),
      ),
    );
  }

  async *followBuild(
    id: string,
    options: { readonly after?: LogPosition; readonly signal: AbortSignal },
  ): ReturnType<KilnApi['followBuild']> {
    const sources = {
      db: await this.#kiln.db(),
      catalog: this.#kiln.catalog,
      activity: (buildId: string, listener: (step: string, text: string) => void) => {
        const onActivity = (about: string, step: string, text: string): void => {
          if (about === buildId) listener(step, text);
        };
        this.#activity.on(ACTIVITY, onActivity);
        return () => this.#activity.off(ACTIVITY, onActivity);
      },
    };
    yield* followBuild(sources, id, options);
  }

  async *readLog(id: string, query: LogQuery): AsyncGenerator<LogLineView> {
    const db = await this.#kiln.db();
    const { build } = await readBuildState(db, id);
    if (build.attempt === 0) return;
    const selection = { buildId: id, attempt: query.attempt ?? build.attempt };
    for await (const line of readLog(db, selection)) {
      if (query.derivation === undefined || line.derivation?.includes(query.derivation) === true)
        yield viewLine(line);
    }
  }

  async cancelBuild(id: string): Promise<BuildView> {
    await cancelBuild(await this.#kiln.db(), id);
    return await this.getBuild(id);
  }

  async retryBuild(id: string): Promise<BuildView> {
    await retryBuild(await this.#kiln.db(), id);
    await this.startWorker();
    return await this.getBuild(id);
  }

  async explainBuild(request: BuildRequest, credentials: RequestCredentials = {}): Promise<Explanation> {
    if (!this.#local) refuseLocalSources(request);
    const services = await this.#services(() => toSourceCredentials(credentials));
    const context = sourceContextOf(services, 'explain', {
      signal: this.#kiln.signal,
      onLine: this.#kiln.onNotice,
    });
    const explained = await explainSource(request.source, request.options, context);
    await using _source = explained.source;
    return {
      origin:
        explained.template === undefined
          ? `${explained.by}: ${explained.why}`
          : `template ${explained.template}: ${explained.why}`,
      expression: explained.expression ?? `# evaluated from ${JSON.stringify(explained.source.installable)}`,
      notes: [...explained.notes, ...explained.impurities.map((what) => `evaluated every time: ${what}`)],
    };
  }

  async listImages(): Promise<readonly ImageListEntry[]> {
    const images = await (await this.#kiln.catalog()).listImages({ tagged: true });
    return images.map((image) => this.#listEntry(image));
  }

  async getImage(reference: string): Promise<ImageDetails> {
    return await inspectStoredImage(this.#kiln, this.#host, reference);
  }

  async getRunnable(reference: string): Promise<RunnableImage> {
    const catalog = await this.#kiln.catalog();
    const own = ownReference(reference, this.#host);
    const details = await storedImage(catalog, own);
    const config = await storedConfig(catalog, details);
    if (config === undefined)
      throw new KilnError(
        'image-failed',
        `${reference} is not one image but several, or has no configuration`,
      );
    const layers = details.layerList.map(({ digest, recipe }) => ({
      digest,
      ...(recipe === undefined ? {} : { recipe }),
    }));
    return { reference: own.shown, config, layers };
  }

  async deleteImage(reference: string): Promise<void> {
    const catalog = await this.#kiln.catalog();
    const { repository, digest } = await storedImage(catalog, ownReference(reference, this.#host));
    await catalog.deleteManifest(repository, digest);
  }

  async pushImage(
    reference: string,
    destination: string,
  ): Promise<{ readonly digest: string; readonly uploadedBytes: number }> {
    const own = ownReference(reference, this.#host);
    await storedImage(await this.#kiln.catalog(), own);
    return await pushFromCatalog(this.#kiln, own.repository, own.tagOrDigest, destination, {
      signal: this.#kiln.signal,
    });
  }

  async cacheStatistics(): ReturnType<KilnApi['cacheStatistics']> {
    return await readCacheStatistics(this.#kiln);
  }

  async collectGarbage(options: {
    readonly dryRun: boolean;
    readonly olderThanDays?: number;
  }): ReturnType<KilnApi['collectGarbage']> {
    return await collectGarbage(this.#kiln, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const worker = await this.#worker?.catch(() => undefined);
    await worker?.[Symbol.asyncDispose]();
    await this.#pushes?.[Symbol.asyncDispose]();
    await this.#kiln[Symbol.asyncDispose]();
  }

  async #openWorker(): Promise<BuildWorker> {
    const services = await this.#services((id) => this.#credentials.get(id) ?? {});
    const { settings, clock, onNotice } = this.#kiln;
    const worker = await startBuildWorker({
      database: services.db,
      execute: createExecuteBuild(services),
      limit: settings.limits.concurrentBuilds,
      logLimitBytes: settings.limits.logSize,
      ...(this.#interactive ? { backoffMs: [2000] } : {}),
      clock,
      onProblem: (what, error) =>
        onNotice(
          `problem: ${what}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
        ),
    });
    this.#pushes = startPendingPushes(this.#kiln);
    const { requeued, failed } = worker.recovered;
    if (requeued.length > 0) onNotice(`taking up again after a crash: ${requeued.join(', ')}`);
    if (failed.length > 0) onNotice(`lost in a crash: ${failed.join(', ')}`);
    return worker;
  }

  async #services(
    credentialsOf: (id: string) => SourceCredentials,
  ): ReturnType<typeof createPipelineServices> {
    return await createPipelineServices(this.#kiln, {
      local: this.#local,
      credentialsOf,
      onActivity: (buildId, step, text) => void this.#activity.emit(ACTIVITY, buildId, step, text),
    });
  }

  #listEntry(image: ImageSummary): ImageListEntry {
    const buildId = image.tags.find((tag) => tag.startsWith('build-'));
    const named =
      image.tags.find((tag) => !tag.startsWith('build-') && !/^\d{8}-\d{6}$/.test(tag)) ??
      image.tags[0] ??
      image.digest;
    return {
      reference: `${this.#host}/${image.repository}:${named}`,
      digest: image.digest,
      size: image.size,
      createdAt: image.pushedAt.toISOString(),
      ...(buildId === undefined ? {} : { buildId }),
    };
  }
}

function refuseLocalSources(request: BuildRequest): void {
  const { kind } = request.source;
  if (kind !== 'directory' && kind !== 'file') return;
  throw new KilnError('forbidden', `a ${kind} of the server's machine cannot be built over the network`, {
    hint: 'Commit it to a repository and give its URL, or send the expression itself (kiln build - < FILE).',
  });
}

function checkStatus(status: string | undefined): BuildStatus | undefined {
  const all = ['pending', 'building', 'success', 'failed', 'cancelled'] as const;
  if (status === undefined) return undefined;
  const known = all.find((name) => name === status);
  if (known === undefined)
    throw new KilnError('invalid-input', `"${status}" is no state of a build`, {
      hint: `There are ${all.join(', ')}.`,
    });
  return known;
}
