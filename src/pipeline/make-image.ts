/** The image step: closure → image in the registry by digest → started. The tag does not move here. */
import type { OciDigest, RepositoryName, StorePath } from '../base/brand.ts';
import { KilnError } from '../base/error.ts';
import { formatBytes } from '../base/units.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { AppSettings } from '../config/app-settings.ts';
import type { Database } from '../db/database.ts';
import { type BaseImage, buildImage, type BuiltImage, type PlannedImage } from '../image/build-image.ts';
import type { ProgramFacts } from '../image/entry-point.ts';
import { contentOf, expectationOf, portsOf, programOf, storeContent } from '../image/image-program.ts';
import type { LayerHasher } from '../image/layer-hasher.ts';
import { checkStart, type StartCheckResult } from '../image/start-check.ts';
import { parseImageConfig, type RunConfig } from '../oci/image-config.ts';
import type { LayerPlan } from '../oci/layer-plan.ts';
import type { Layer } from '../oci/layer-recipe.ts';
import type { PathHistory } from '../oci/volatility.ts';
import type { BundleContent } from '../runtime/container-bundle.ts';
import type { OciRuntime } from '../runtime/oci-runtime.ts';
import type { Closure } from '../store/closure.ts';

export interface ImageServices {
  readonly db: Database;
  readonly catalog: Catalog;
  readonly hasher: LayerHasher;
  /** @throws KilnError tool-missing when none works here */
  readonly runtime: () => Promise<OciRuntime>;
}

export interface MakeImageInput {
  readonly closure: Closure;
  readonly system: string;
  readonly repository: RepositoryName;
  readonly settings: AppSettings;
  readonly program: ProgramFacts;
  readonly environmentVars: Readonly<Record<string, string>>;
  readonly freshPlan: boolean;
  readonly base?: BaseImage;
  readonly signal: AbortSignal;
  readonly onProgress: (text: string) => void;
  readonly onLog: (line: string) => void;
}

export interface MadeImage {
  readonly digest: OciDigest;
  readonly built: BuiltImage;
  readonly checks: readonly StartCheckResult[];
}

/** Kind of the start-up check among the documents that the registry keeps with a manifest. */
export const START_CHECK = 'start-check';

/** Kinds of further documents: how the layers were planned, and what the look before the first run brought up. */
export const LAYER_PLAN = 'layer-plan';
export const PREFLIGHT = 'preflight';

/** `plan.json`: with it the same closure gives the same layers again. */
export interface RecordedPlan extends LayerPlan {
  readonly kind: BuiltImage['planKind'];
  /** Outputs of the build. */
  readonly roots: readonly StorePath[];
}

/** Releases that the planner learns from. */
const HISTORY = 20;

/** @throws KilnError image-failed, image-does-not-start, and what the parts throw */
export async function makeImage(services: ImageServices, input: MakeImageInput): Promise<MadeImage> {
  const [previous, history] = await Promise.all([
    previousLayers(services.catalog, input.repository),
    planHistory(services.catalog, input.repository),
  ]);
  // Starting needs no digest: the program runs while its bytes are hashed.
  await using early = new EarlyChecks(services, input);
  const built = await buildImage(
    {
      closure: input.closure,
      system: input.system,
      name: input.repository,
      settings: input.settings.image ?? {},
      program: input.program,
      environmentVars: input.environmentVars,
      freshPlan: input.freshPlan,
      history,
      ...(input.base === undefined ? {} : { base: input.base }),
      ...(previous === undefined ? {} : { previous: { layers: previous } }),
    },
    {
      db: services.db,
      hasher: services.hasher,
      signal: input.signal,
      onPlanned: (planned) => early.begin(planned),
      onProgress: (progress) =>
        input.onProgress(
          `hashing ${formatBytes(progress.hashedBytes)} of ${formatBytes(progress.totalBytes)}`,
        ),
    },
  );
  input.onLog(`layers: ${describePlan(built)}`);
  for (const finding of built.findings) input.onLog(`preflight: ${finding.severity}: ${finding.message}`);
  const digest = await services.catalog.stageImage({
    repository: input.repository,
    manifest: built.manifest,
    config: built.config,
    layers: built.layers,
    results: {
      [LAYER_PLAN]: {
        ...built.plan,
        kind: built.planKind,
        roots: input.closure.roots,
      } satisfies RecordedPlan,
      [PREFLIGHT]: built.findings,
    },
  });
  const checks = await startChecks(services, input, built, digest, early);
  return { digest, built, checks };
}

/** The checks of this digest: those on record when they passed, else new ones, which are put on record. */
async function startChecks(
  services: ImageServices,
  input: MakeImageInput,
  built: BuiltImage,
  digest: OciDigest,
  early: EarlyChecks,
): Promise<readonly StartCheckResult[]> {
  const recorded = (await services.catalog.imageDetails(input.repository, digest))?.results[START_CHECK];
  const known = Array.isArray(recorded) ? (recorded as StartCheckResult[]) : [];
  if (known.some((check) => check.profile === 'default' && check.passed)) {
    input.onLog('started before: the same image was checked already');
    return known;
  }
  const results =
    (await early.results) ??
    (await runChecks(
      services,
      input,
      startContent(services.catalog, input, built),
      parseImageConfig(built.config).config,
      input.signal,
    ));
  const [normal] = results;
  await services.catalog.recordResult(input.repository, digest, START_CHECK, results);
  if (normal.passed) return results;
  const errors = built.findings.filter((finding) => finding.severity === 'error');
  throw new KilnError(
    'image-does-not-start',
    `the image was built but does not start: ${normal.reason ?? normal.detail}`,
    {
      where: [...normal.tail.slice(-12), ...errors.map((finding) => `preflight: ${finding.message}`)].join(
        '\n',
      ),
      hint: `${errors[0]?.hint ?? normal.hint ?? ''} The tag still names the image before.`.trim(),
      fields: { digest, check: normal },
    },
  );
}

type Checks = readonly [normal: StartCheckResult, strict: StartCheckResult];

async function runChecks(
  services: ImageServices,
  input: MakeImageInput,
  content: BundleContent,
  config: RunConfig,
  signal: AbortSignal,
): Promise<Checks> {
  const { expectation, timeoutMs } = expectationOf(input.settings.health, portsOf(config));
  const runtime = await services.runtime();
  const common = { content, program: programOf(config), expectation, timeoutMs, runtime, signal };
  input.onProgress(describeWait(expectation.kind));
  const checks = await Promise.all([
    checkStart({ ...common, profile: 'default', onLine: (line) => input.onLog(`started program: ${line}`) }),
    checkStart({ ...common, profile: 'strict' }),
  ]);
  if (checks[0].stopsOnSigterm === false)
    input.onLog('warning: the program does not handle SIGTERM: every stop waits until it is killed');
  return checks;
}

/** Checks that run beside the hashing. Disposing ends those that nobody waited for. */
class EarlyChecks implements AsyncDisposable {
  readonly #services: ImageServices;
  readonly #input: MakeImageInput;
  readonly #stop = new AbortController();
  /** Undefined where the image must be unpacked first. */
  results: Promise<Checks> | undefined;

  constructor(services: ImageServices, input: MakeImageInput) {
    this.#services = services;
    this.#input = input;
  }

  begin(planned: PlannedImage): void {
    const content = this.#input.base === undefined ? storeContent(planned.recipes) : undefined;
    if (content === undefined) return;
    const signal = AbortSignal.any([this.#input.signal, this.#stop.signal]);
    this.results = runChecks(this.#services, this.#input, content, planned.config, signal);
    this.results.catch(() => undefined); // whoever waits for it is told
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.results?.catch(() => undefined);
  }
}

/** Straight from the store where the files are as they are there; unpacked from the registry's bytes otherwise. */
function startContent(catalog: Catalog, input: MakeImageInput, built: BuiltImage): BundleContent {
  const blobOf = async function* (digest: OciDigest): AsyncGenerator<Buffer> {
    const blob = await catalog.findBlob(input.repository, digest);
    if (blob === undefined) throw new KilnError('not-found', `the layer ${digest} is not in the registry`);
    yield* catalog.readBlob(blob, { start: 0, end: blob.size }, input.signal);
  };
  return contentOf(built.layers, { below: input.base?.layers ?? [], blobOf });
}

function describeWait(kind: string): string {
  return kind === 'http' || kind === 'tcp' ? 'starting it and waiting for its answer' : 'starting it';
}

/** Layers of the newest release of the repository: what is unchanged keeps its layer. */
async function previousLayers(catalog: Catalog, repository: RepositoryName): Promise<Layer[] | undefined> {
  const [newest] = await catalog.listImages({ repository, tagged: true, limit: 1 });
  if (newest === undefined) return undefined;
  const details = await catalog.imageDetails(repository, newest.digest);
  return details?.layerList.flatMap(({ digest, size, recipe }) =>
    recipe === undefined ? [] : [{ digest, size, recipe }],
  );
}

/** What earlier releases were made of, oldest first. */
async function planHistory(catalog: Catalog, repository: RepositoryName): Promise<PathHistory> {
  const plans = await catalog.releasedResults(repository, LAYER_PLAN, HISTORY);
  return plans.map(({ result }) => (result as RecordedPlan).layers.flat()).reverse();
}

function describePlan(built: BuiltImage): string {
  const why =
    built.planKind === 'kept'
      ? 'those of the release before are kept: planned from the closure alone, noticeably more would be new'
      : 'planned from the closure alone, so that any machine makes the same';
  return `${built.plan.layers.length} of store paths, ${formatBytes(built.newBytes)} new; ${why}`;
}

/** Store paths of a layer, for views. */
export function storePathsOf(layer: Layer): StorePath[] {
  return layer.recipe.entries.flatMap((entry) => (entry.type === 'store-path' ? [entry.path] : []));
}
