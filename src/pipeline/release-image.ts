/** The last steps of a build, whatever its result came from: closure → image that starts → tags that name it. */
import { createHash } from 'node:crypto';
import type { OciDigest, RepositoryName, StorePath } from '../base/brand.ts';
import { canonicalJson, type Json } from '../base/canonical-json.ts';
import { describeFailure, isKilnError } from '../base/error.ts';
import { formatBytes } from '../base/units.ts';
import type { BuildContext } from '../build/attempt-context.ts';
import type { BuildFacts, BuildRecord } from '../build/build-record.ts';
import { findImage, saveImage } from '../build/reuse-queries.ts';
import type { AppSettings } from '../config/app-settings.ts';
import type { ProgramFacts } from '../image/entry-point.ts';
import type { StartCheckResult } from '../image/start-check.ts';
import { readDerivation } from '../nix/read-derivation.ts';
import type { Closure } from '../store/closure.ts';
import { tagsOf } from './image-name.ts';
import { makeImage, START_CHECK } from './make-image.ts';
import type { PipelineServices } from './pipeline-services.ts';
import { releaseSettingsSchema, type ReleaseSettings } from './release-settings.ts';

export interface ReleaseInput {
  readonly closure: Closure;
  readonly settings: AppSettings;
  readonly repository: RepositoryName;
  /** Says what the program is called, when it is still in the store. */
  readonly drvPath?: StorePath;
  /** What the expression says of the program. */
  readonly program?: ProgramFacts;
  /** What is known of the build so far. */
  readonly facts: BuildFacts;
}

/**
 * Runs the steps `image`, `push` and `complete`. The tags move only after the image started; when it does not, they
 * still name the image before.
 * @returns `facts`, with the image
 * @throws KilnError image-failed, image-does-not-start, and of a registry that was asked for by name and cannot take it later either unauthorized, forbidden …
 */
export async function releaseImage(
  services: PipelineServices,
  build: BuildRecord,
  context: BuildContext,
  input: ReleaseInput,
): Promise<BuildFacts> {
  const release = new Release(services, build, context, input);
  const image = await context.step('image', (handle) => release.image(handle));
  const pushed = await context.step('push', (handle) => release.push(image, handle));
  return await context.step('complete', async (handle) => {
    handle.detail(pushed.reference);
    context.log(`image ${pushed.reference}@${image.digest}`);
    const { tags, elsewhere, warnings } = pushed;
    return {
      ...input.facts,
      imageReference: pushed.reference,
      imageDigest: image.digest,
      imageSize: image.size,
      imageReused: image.reused,
      details: { ...input.facts.details, tags, pushedTo: elsewhere, warnings },
    };
  });
}

type Handle = Parameters<Parameters<BuildContext['step']>[1]>[0];

interface ReleasedImage {
  readonly digest: OciDigest;
  readonly size: number;
  readonly reused: boolean;
}

interface PushedImage {
  readonly reference: string;
  readonly tags: readonly string[];
  /** References in other registries that took it. */
  readonly elsewhere: readonly string[];
  readonly warnings: readonly string[];
}

class Release {
  readonly #services: PipelineServices;
  readonly #build: BuildRecord;
  readonly #context: BuildContext;
  readonly #input: ReleaseInput;
  readonly #release: ReleaseSettings;

  constructor(services: PipelineServices, build: BuildRecord, context: BuildContext, input: ReleaseInput) {
    this.#services = services;
    this.#build = build;
    this.#context = context;
    this.#input = input;
    this.#release = releaseSettingsSchema.parse(build.settings);
  }

  async image(handle: Handle): Promise<ReleasedImage> {
    const services = this.#services;
    const { closure, settings, repository } = this.#input;
    const environmentVars = this.#build.options.environmentVars ?? {};
    const program = await this.#programFacts();
    const { log, signal } = this.#context;
    const base =
      settings.image?.base === undefined
        ? undefined
        : await services.baseImage(settings.image.base, {
            signal,
            onProgress: (text) => this.#activity('image', text),
          });
    const key = imageKey({
      closure,
      base: base?.digest,
      settings: { image: settings.image, health: settings.health },
      environmentVars,
      program,
      repository,
      system: services.system,
    });
    const known = this.#release.freshPlan ? undefined : await findImage(services.db, key);
    if (known !== undefined) {
      const digest = known.digest as OciDigest;
      const details = await services.catalog.imageDetails(repository, digest);
      if (details !== undefined && hasStarted(details.results[START_CHECK])) {
        handle.reused();
        handle.detail(`${formatBytes(known.size)}, started before`);
        return { digest, size: known.size, reused: true };
      }
    }
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
        settings,
        program,
        ...(base === undefined ? {} : { base }),
        environmentVars,
        freshPlan: this.#release.freshPlan,
        signal,
        onProgress: (text) => this.#activity('image', text),
        onLog: log,
      },
    );
    await saveImage(services.db, key, { digest: made.digest, size: made.built.size, details: {} });
    const check = made.checks.find((result) => result.profile === 'default');
    handle.detail(
      `${formatBytes(made.built.size)} in ${made.built.layers.length} layers (${made.built.planKind} plan), ${made.built.reusedLayers} reused; ${check?.detail ?? 'started before'}`,
    );
    return { digest: made.digest, size: made.built.size, reused: false };
  }

  async push(image: ReleasedImage, handle: Handle): Promise<PushedImage> {
    const { catalog, clock, registryHost, externalRegistry } = this.#services;
    const { repository } = this.#input;
    const tags = tagsOf(this.#release.tag, this.#release.buildTag ?? this.#build.id, clock.now());
    for (const tag of tags) await catalog.moveTag(repository, tag, image.digest);
    const reference = `${registryHost}/${repository}:${tags[0] ?? 'latest'}`;
    const configured =
      externalRegistry === undefined ? [] : tags.map((tag) => `${externalRegistry}/${repository}:${tag}`);
    const elsewhere: string[] = [];
    const warnings: string[] = [];
    let travelled = 0;
    const destinations = [...this.#release.push, ...configured];
    for (const [at, destination] of destinations.entries()) {
      this.#activity('push', `pushing to ${destination}`);
      try {
        travelled += await this.#services.pushImage(
          repository,
          image.digest,
          destination,
          this.#context.signal,
        );
        elsewhere.push(destination);
      } catch (error) {
        const wanted = this.#release.push.includes(destination);
        // What the registry refuses for one tag it refuses for the next.
        const refused = wanted ? [destination] : destinations.slice(at);
        warnings.push(await this.#pushLater(image, refused, wanted, error));
        if (!wanted) break;
      }
    }
    handle.detail(
      [
        elsewhere.length === 0
          ? reference
          : `${reference}, ${elsewhere.join(', ')} (${formatBytes(travelled)})`,
        ...warnings,
      ].join('; '),
    );
    return { reference, tags, elsewhere, warnings };
  }

  /**
   * The image is safe in the embedded registry, so a push that failed is tried again later. What was asked for by name and
   * cannot succeed by waiting (a wrong name, no permission) stays an error.
   */
  async #pushLater(
    image: ReleasedImage,
    destinations: readonly string[],
    wanted: boolean,
    error: unknown,
  ): Promise<string> {
    const failure = describeFailure(error);
    const temporary = isKilnError(error) && error.retry === 'backoff';
    if (this.#context.signal.aborted || failure.code === 'bug' || (wanted && !temporary)) throw error;
    const { repository } = this.#input;
    for (const destination of destinations) {
      const push = { buildId: this.#build.id, repository, digest: image.digest, destination };
      await this.#services.pushLater(push, failure);
    }
    const warning = `${destinations.join(', ')} did not take the image (${failure.message}); it is kept in the embedded registry and pushed later`;
    this.#context.log(`warning: ${warning}`);
    return warning;
  }

  async #programFacts(): Promise<ProgramFacts> {
    const { drvPath, program } = this.#input;
    if (drvPath === undefined || !(await this.#services.store.isValid(drvPath))) return program ?? {};
    const { env } = await readDerivation(drvPath);
    const pname = env.get('pname') ?? env.get('name')?.replace(/-\d[\w.+-]*$/, '');
    const mainProgram = program?.mainProgram ?? env.get('NIX_MAIN_PROGRAM');
    return {
      ...(pname === undefined ? {} : { pname }),
      ...(mainProgram === undefined ? {} : { mainProgram }),
    };
  }

  #activity(step: string, text: string): void {
    this.#services.onActivity(this.#build.id, step, text);
  }
}

function hasStarted(results: unknown): boolean {
  return (
    Array.isArray(results) &&
    (results as StartCheckResult[]).some((check) => check.profile === 'default' && check.passed)
  );
}

interface ImageKeyInput {
  readonly base: OciDigest | undefined;
  readonly closure: Closure;
  readonly settings: AppSettings;
  readonly environmentVars: Readonly<Record<string, string>>;
  readonly program: ProgramFacts;
  readonly repository: string;
  readonly system: string;
}

/** Everything that decides the image; its digest is remembered under this. */
function imageKey({ closure, ...rest }: ImageKeyInput): string {
  const json = canonicalJson({
    version: 2,
    roots: closure.roots,
    paths: closure.paths.map((info) => `${info.path} ${info.narHash}`),
    ...(JSON.parse(JSON.stringify(rest)) as { readonly [key: string]: Json }),
  });
  return createHash('sha256').update(json).digest('hex');
}
