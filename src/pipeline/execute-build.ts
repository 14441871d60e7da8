/** The seven steps of a build, in order. The only place that knows them all. */
import { createHash } from 'node:crypto';
import type { OciDigest, StorePath } from '../base/brand.ts';
import { canonicalJson, type Json } from '../base/canonical-json.ts';
import { formatBytes } from '../base/units.ts';
import type { BuildContext, ExecuteBuild } from '../build/attempt-context.ts';
import type { BuildFacts, BuildRecord } from '../build/build-record.ts';
import { findImage, saveImage } from '../build/reuse-queries.ts';
import { mergeImageSettings } from '../image/image-settings.ts';
import type { StartCheckResult } from '../image/start-check.ts';
import { readDerivation } from '../nix/read-derivation.ts';
import { resolveSource } from '../source/resolve-source.ts';
import type { Source } from '../source/source.ts';
import { closureSize, type Closure } from '../store/closure.ts';
import { nameOf } from '../store/store-path.ts';
import { findDerivation, type FoundDerivation } from './find-derivation.ts';
import { repositoryOf, tagsOf } from './image-name.ts';
import { makeImage, START_CHECK } from './make-image.ts';
import { secretsOf, type PipelineServices } from './pipeline-services.ts';
import { createProvideSources } from './provide-sources.ts';
import { realiseDerivation, type RealisedBuild } from './realise-derivation.ts';
import { sourceContextOf } from './source-context.ts';
import { releaseSettingsSchema, type ReleaseSettings } from './release-settings.ts';

export function createExecuteBuild(services: PipelineServices): ExecuteBuild {
  return async (build, context) => await new Execution(services, build, context).run();
}

class Execution {
  readonly #services: PipelineServices;
  readonly #build: BuildRecord;
  readonly #context: BuildContext;
  readonly #release: ReleaseSettings;

  constructor(services: PipelineServices, build: BuildRecord, context: BuildContext) {
    this.#services = services;
    this.#build = build;
    this.#context = context;
    this.#release = releaseSettingsSchema.parse(build.settings);
  }

  async run(): Promise<BuildFacts> {
    const { step, skipStep, log } = this.#context;
    await step('initiate', async (handle) => {
      this.#context.hide(secretsOf(this.#services.credentialsOf(this.#build.id)));
      handle.detail(`${this.#build.id} · ${this.#build.slug}`);
    });
    await using source = await step('source', (handle) => this.#acquire(handle));
    const found = await step('dependencies', (handle) => this.#findDerivation(source, handle));
    const realised = await step('build', (handle) => this.#realise(found, handle));
    const closure = await this.#services.store.closure(realised.outPaths);
    const facts: BuildFacts = {
      outPaths: realised.outPaths,
      artifactSize: closureSize(closure),
      evaluationReused: found.reused,
      buildReused: realised.builtCount === 0,
      details: {
        closurePaths: closure.paths.length,
        built: realised.builtCount,
        substituted: realised.substitutedCount,
      },
    };
    await this.#context.record(facts);
    if (!this.#release.image) {
      await skipStep('image', 'no image was asked for');
      await skipStep('push', 'no image was asked for');
      await step('complete', async () => undefined);
      return facts;
    }
    const image = await step('image', (handle) => this.#image(source, found, closure, handle));
    const reference = await step('push', (handle) => this.#push(image, handle));
    return await step('complete', async (handle) => {
      handle.detail(reference);
      log(`image ${reference}@${image.digest}`);
      return {
        ...facts,
        imageReference: reference,
        imageDigest: image.digest,
        imageSize: image.size,
        imageReused: image.reused,
      };
    });
  }

  async #acquire(handle: Handle): Promise<Source> {
    const { services, build, context } = {
      services: this.#services,
      build: this.#build,
      context: this.#context,
    };
    const tell = (line: string): void => {
      context.log(line);
      this.#activity('source', line);
    };
    const source = await resolveSource(
      build.source,
      build.options,
      sourceContextOf(services, build.id, { signal: context.signal, onLine: tell }),
    );
    const { commit, branch, template } = source;
    await context.record({
      contentKey: source.contentKey,
      ...(commit === undefined ? {} : { commitSha: commit.sha }),
      ...(branch === undefined ? {} : { branch }),
      details: {
        ...(template === undefined ? {} : { template }),
        ...(commit === undefined ? {} : { commit }),
      },
    });
    handle.detail(describeSource(source));
    return source;
  }

  async #findDerivation(source: Source, handle: Handle): Promise<FoundDerivation> {
    const { log, signal } = this.#context;
    const services = this.#services;
    const found = await findDerivation(services, source, {
      buildId: this.#build.id,
      spec: this.#build.source,
      packages: this.#build.options.packages ?? source.settings.build?.packages ?? 'auto',
      signal,
      onLine: log,
      onActivity: (text) => this.#activity('dependencies', text),
    });
    await this.#context.record({ drvPath: found.drvPath });
    if (found.reused) handle.reused();
    const name = nameOf(found.drvPath).replace(/\.drv$/, '');
    if (found.built) {
      handle.detail(`${name}: everything is in the store`);
      return found;
    }
    this.#activity('dependencies', 'asking what is missing');
    const provide = createProvideSources(services.nix, services.env);
    const provided = await provide(found.drvPath, {
      signal,
      onProgress: (line) => {
        log(line);
        this.#activity('dependencies', line);
      },
    });
    handle.detail(
      provided.added === 0
        ? `${name}: all sources are there`
        : `${name}: ${provided.added} sources, ${formatBytes(provided.bytes)} fetched`,
    );
    return found;
  }

  async #realise(found: FoundDerivation, handle: Handle): Promise<RealisedBuild> {
    const services = this.#services;
    const reuse = async (): Promise<RealisedBuild | undefined> => {
      const outPaths = Object.values(found.outputs);
      const valid = await Promise.all(outPaths.map((path) => services.store.isValid(path)));
      if (outPaths.length === 0 || !valid.every(Boolean)) return undefined;
      for (const path of outPaths)
        await services.roots.hold(`build-${this.#build.id}`, path, this.#context.signal);
      handle.reused();
      handle.detail(outPaths.map((path) => nameOf(path)).join(' '));
      return { outPaths, builtCount: 0, substitutedCount: 0 };
    };
    const known = found.built ? await reuse() : undefined;
    if (known !== undefined) return known;
    return await this.#context.withDerivation(found.drvPath, async (waited) => {
      const other = waited ? await reuse() : undefined;
      if (other !== undefined) return other;
      const realised = await realiseDerivation(services, found, this.#build.id, this.#context);
      const names = realised.outPaths.map((path) => nameOf(path)).join(' ');
      handle.detail(
        `${names}: ${realised.builtCount} built${realised.substitutedCount > 0 ? `, ${realised.substitutedCount} substituted` : ''}`,
      );
      await services.roots.release(`drv-${this.#build.id}`);
      return realised;
    });
  }

  async #image(
    source: Source,
    found: FoundDerivation,
    closure: Closure,
    handle: Handle,
  ): Promise<ReleasedImage> {
    const services = this.#services;
    const { settings } = source;
    const repository = repositoryOf(
      this.#release.name,
      settings.image?.name,
      this.#build.source,
      nameOf(found.drvPath).replace(/\.drv$/, ''),
    );
    const key = imageKey(
      closure,
      { ...settings, build: undefined },
      this.#build.options.environmentVars ?? {},
      repository,
      services.system,
    );
    const known = this.#release.freshPlan ? undefined : await findImage(services.db, key);
    if (known !== undefined) {
      const digest = known.digest as OciDigest;
      const details = await services.catalog.imageDetails(repository, digest);
      if (details !== undefined && hasStarted(details.results[START_CHECK])) {
        handle.reused();
        handle.detail(`${formatBytes(known.size)}, started before`);
        return { repository, digest, size: known.size, reused: true };
      }
    }
    const { log, signal } = this.#context;
    const made = await makeImage(
      {
        db: services.db,
        catalog: services.catalog,
        hasher: await services.hasher(),
        runtime: services.runtime,
      },
      {
        closure,
        system: services.system,
        repository,
        settings: { ...settings, image: mergeImageSettings(settings.image) },
        program: await this.#programFacts(found.drvPath),
        environmentVars: this.#build.options.environmentVars ?? {},
        freshPlan: this.#release.freshPlan,
        signal,
        onProgress: (text) => this.#activity('image', text),
        onLog: log,
      },
    );
    await saveImage(services.db, key, { digest: made.digest, size: made.built.size, details: {} });
    const check = made.checks.find((result) => result.profile === 'default');
    handle.detail(
      `${formatBytes(made.built.size)} in ${made.built.layers.length} layers, ${made.built.reusedLayers} reused; ${check?.detail ?? 'started before'}`,
    );
    return { repository, digest: made.digest, size: made.built.size, reused: false };
  }

  async #push(image: ReleasedImage, handle: Handle): Promise<string> {
    const services = this.#services;
    const tags = tagsOf(this.#release.tag, this.#build.id, services.clock.now());
    for (const tag of tags) await services.catalog.moveTag(image.repository, tag, image.digest);
    const reference = `${services.registryHost}/${image.repository}:${tags[0] ?? 'latest'}`;
    const external = services.externalRegistry;
    const destinations = [
      ...this.#release.push,
      ...(external === undefined ? [] : [`${external}/${image.repository}:${tags[0]}`]),
    ];
    let travelled = 0;
    for (const destination of destinations) {
      this.#activity('push', `pushing to ${destination}`);
      travelled += await this.#pushElsewhere(image, destination);
    }
    handle.detail(
      destinations.length === 0
        ? reference
        : `${reference}, ${destinations.join(', ')} (${formatBytes(travelled)})`,
    );
    return reference;
  }

  /** The image is safe in the embedded registry: a configured registry that fails is a warning, one asked for by name an error. */
  async #pushElsewhere(image: ReleasedImage, destination: string): Promise<number> {
    try {
      return await this.#services.pushImage(
        image.repository,
        image.digest,
        destination,
        this.#context.signal,
      );
    } catch (error) {
      if (this.#release.push.includes(destination)) throw error;
      const message = error instanceof Error ? error.message : String(error);
      this.#context.log(
        `warning: ${destination} did not take the image (${message}); it is kept in the embedded registry`,
      );
      return 0;
    }
  }

  async #programFacts(
    drvPath: StorePath,
  ): Promise<{ readonly pname?: string; readonly mainProgram?: string }> {
    if (!(await this.#services.store.isValid(drvPath))) return {};
    const { env } = await readDerivation(drvPath);
    const pname = env.get('pname') ?? env.get('name')?.replace(/-\d[\w.+-]*$/, '');
    const mainProgram = env.get('NIX_MAIN_PROGRAM');
    return {
      ...(pname === undefined ? {} : { pname }),
      ...(mainProgram === undefined ? {} : { mainProgram }),
    };
  }

  #activity(step: string, text: string): void {
    this.#services.onActivity(this.#build.id, step, text);
  }
}

type Handle = Parameters<Parameters<BuildContext['step']>[1]>[0];

interface ReleasedImage {
  readonly repository: ReturnType<typeof repositoryOf>;
  readonly digest: OciDigest;
  readonly size: number;
  readonly reused: boolean;
}

function describeSource(source: Source): string {
  const how = source.template === undefined ? '' : `template ${source.template}`;
  const what =
    source.commit === undefined ? '' : `${source.branch ?? 'commit'} ${source.commit.sha.slice(0, 10)}`;
  return [what, how].filter((part) => part !== '').join(' · ') || source.kind;
}

function hasStarted(results: unknown): boolean {
  return (
    Array.isArray(results) &&
    (results as StartCheckResult[]).some((check) => check.profile === 'default' && check.passed)
  );
}

/** Everything that decides the image; its digest is remembered under this. */
function imageKey(
  closure: Closure,
  settings: unknown,
  env: Readonly<Record<string, string>>,
  repository: string,
  system: string,
): string {
  const json = canonicalJson({
    version: 1,
    roots: closure.roots,
    paths: closure.paths.map((info) => `${info.path} ${info.narHash}`),
    settings: JSON.parse(JSON.stringify(settings)) as Json,
    env,
    repository,
    system,
  });
  return createHash('sha256').update(json).digest('hex');
}
