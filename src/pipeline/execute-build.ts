/** The seven steps of a build, in order. The only place that knows them all. */
import { tmpdir } from 'node:os';
import { formatBytes } from '../base/units.ts';
import type { BuildContext, ExecuteBuild } from '../build/attempt-context.ts';
import type { BuildFacts, BuildRecord } from '../build/build-record.ts';
import { isArchiveAhead, relockBasis } from '../basis/relock-basis.ts';
import { debianDirectory, kilnHome } from '../setup/kiln-home.ts';
import { findEntryPoint, isNothingToRun } from '../image/entry-point.ts';
import { ImageTree } from '../image/image-tree.ts';
import { REAL_STORE } from '../image/walk-store-path.ts';
import { resolveSource } from '../source/resolve-source.ts';
import type { Source } from '../source/source.ts';
import { closureSize, type Closure } from '../store/closure.ts';
import { nameOf } from '../store/store-path.ts';
import type { AppSettings } from '../config/app-settings.ts';
import { applicationSettings } from './application-settings.ts';
import { executeStorePath } from './execute-store-path.ts';
import { findDerivation, type FoundDerivation } from './find-derivation.ts';
import { repositoryOf } from './image-name.ts';
import { nameFullDisk } from './name-full-disk.ts';
import { secretsOf, type PipelineServices } from './pipeline-services.ts';
import { createProvideSources } from './provide-sources.ts';
import { realiseDerivation, type RealisedBuild } from './realise-derivation.ts';
import { releaseImage } from './release-image.ts';
import { sourceContextOf } from './source-context.ts';
import { releaseSettingsSchema, type ReleaseSettings } from './release-settings.ts';

export function createExecuteBuild(services: PipelineServices): ExecuteBuild {
  return async (build, context) => {
    if (build.source.kind === 'store-path')
      return await executeStorePath(services, build, build.source, context);
    try {
      return await new Execution(services, build, context).run();
    } catch (error) {
      throw await nameFullDisk(error, [services.workspace, services.depsCache, '/nix/store', tmpdir()]);
    } finally {
      // Results are held by their own roots; a derivation that is evaluated again costs little.
      await services.roots.release(`drv-${build.id}`);
    }
  };
}

/** With the settings of its image, from everywhere they may stand. */
interface DescribedDerivation extends FoundDerivation {
  readonly settings: AppSettings;
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
    const { source, found } = await this.#prepare();
    await using _source = source;
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
    const drvName = nameOf(found.drvPath).replace(/\.drv$/, '');
    const { settings } = found;
    if (!this.#asksForImage(settings) && !hasProgram(closure, found)) {
      const reason = 'the result has no program to run: it is built, and no image is made of it';
      log(`${reason}; put a program into $out/bin, or set image.entrypoint`);
      await skipStep('image', reason);
      await skipStep('push', 'there is no image');
      await step('complete', async () => undefined);
      return facts;
    }
    return await releaseImage(this.#services, this.#build, this.#context, {
      closure,
      settings,
      program: found.facts,
      repository: repositoryOf(this.#release.name, settings.image?.name, this.#build.source, drvName),
      drvPath: found.drvPath,
      facts,
    });
  }

  /** Somebody who names the image, its tag or how it runs wants one, and an error where none can be made. */
  #asksForImage(settings: AppSettings): boolean {
    const { name, tag, push } = this.#release;
    return (
      name !== undefined || tag !== undefined || push.length > 0 || settings.image?.entrypoint !== undefined
    );
  }

  /** Where the archive no longer has what the basis is locked to, the basis is locked anew and evaluated again, once. */
  async #prepare(): Promise<Prepared> {
    const { step, log, signal } = this.#context;
    const prepare = async (): Promise<Prepared> => {
      const source = await step('source', (handle) => this.#acquire(handle));
      return { source, found: await step('dependencies', (handle) => this.#findDerivation(source, handle)) };
    };
    return await prepare().catch(async (error: unknown) => {
      if (!isArchiveAhead(error)) throw error;
      const { env } = this.#services;
      await relockBasis({
        dataFolder: kilnHome(env),
        debianFolder: debianDirectory(env),
        signal,
        onProgress: log,
      });
      return await prepare();
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

  async #findDerivation(source: Source, handle: Handle): Promise<DescribedDerivation> {
    const { log, signal } = this.#context;
    const services = this.#services;
    const derivation = await findDerivation(services, source, {
      buildId: this.#build.id,
      spec: this.#build.source,
      packages: this.#build.options.packages ?? source.settings.build?.packages ?? 'auto',
      signal,
      onLine: log,
      onActivity: (text) => this.#activity('dependencies', text),
    });
    const settings = applicationSettings(derivation.facts, source.settings, this.#release.imageSettings);
    const found = { ...derivation, settings };
    await this.#context.record({
      drvPath: found.drvPath,
      details: { application: { image: settings.image, health: settings.health } },
    });
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
      const caches = await services.cacheSettings(this.#release.workerId);
      const realised = await realiseDerivation(services, found, this.#build.id, this.#context, caches);
      const names = realised.outPaths.map((path) => nameOf(path)).join(' ');
      handle.detail(
        `${names}: ${realised.builtCount} built${realised.substitutedCount > 0 ? `, ${realised.substitutedCount} substituted` : ''}`,
      );
      return realised;
    });
  }

  #activity(step: string, text: string): void {
    this.#services.onActivity(this.#build.id, step, text);
  }
}

function hasProgram(closure: Closure, found: FoundDerivation): boolean {
  try {
    const tree = new ImageTree(closure, [], REAL_STORE.physicalRoot);
    findEntryPoint({ roots: closure.roots, facts: found.facts, tree });
    return true;
  } catch (error) {
    return !isNothingToRun(error); // several programs: the image step says which
  }
}

interface Prepared {
  readonly source: Source;
  readonly found: DescribedDerivation;
}

type Handle = Parameters<Parameters<BuildContext['step']>[1]>[0];

function describeSource(source: Source): string {
  const how = source.template === undefined ? '' : `template ${source.template}`;
  const what =
    source.commit === undefined ? '' : `${source.branch ?? 'commit'} ${source.commit.sha.slice(0, 10)}`;
  return [what, how].filter((part) => part !== '').join(' · ') || source.kind;
}
