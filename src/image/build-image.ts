/** A closure → an image: plan, digests, configuration, manifest. Writes nothing; the same input gives the same digest. */
import type { OciDigest, StorePath } from '../base/brand.ts';
import { KilnError } from '../base/error.ts';
import type { Database } from '../db/database.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { choosePlan, type PlanChoice } from '../oci/choose-plan.ts';
import { digestOf } from '../oci/digest.ts';
import { encodeImageConfig, type ImageConfig, type RunConfig } from '../oci/image-config.ts';
import { checkPlan, LAYER_BUDGET, LAYER_CAP, type LayerPlan, planLayers } from '../oci/layer-plan.ts';
import { type Layer, type LayerRecipe, TAR_PROFILE } from '../oci/layer-recipe.ts';
import { encodeManifest } from '../oci/manifest.ts';
import { OCI_CONFIG, OCI_LAYER_TAR, OCI_MANIFEST } from '../oci/media-types.ts';
import type { PathHistory } from '../oci/volatility.ts';
import type { Closure } from '../store/closure.ts';
import { findEntryPoint, type ProgramFacts } from './entry-point.ts';
import { checkModes, storeAttributes, withAttributes } from './file-attributes.ts';
import type { Finding } from './finding.ts';
import { hashLayers, type HashProgress } from './hash-layers.ts';
import { imageConfigFrom, rfc3339, runConfigFrom } from './image-config-from.ts';
import type { ImageSettings } from './image-settings.ts';
import { ImageTree } from './image-tree.ts';
import { type ImageUser, imageUser } from './image-user.ts';
import { LayerHasher } from './layer-hasher.ts';
import { preflight } from './preflight.ts';
import { type RootFilesystem, rootFilesystem } from './root-filesystem.ts';
import { REAL_STORE, type StoreLocation } from './walk-store-path.ts';

/** An image that lies below: its layers stay as they are. */
export interface BaseImage {
  readonly config: ImageConfig;
  readonly layers: readonly Descriptor[];
  readonly digest: OciDigest;
  readonly name?: string;
}

/** Everything that decides the image's digest. */
export interface ImageRequest {
  /** Its roots are the outputs of the build, the one with the program first. */
  readonly closure: Closure;
  /** Nix system, `x86_64-linux`. */
  readonly system: string;
  /** Title of the image, e.g. its repository name. */
  readonly name: string;
  readonly settings?: ImageSettings;
  readonly program?: ProgramFacts;
  readonly environmentVars?: Readonly<Record<string, string>>;
  /** Labels and annotations such as `org.opencontainers.image.revision`. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Seconds since the Unix epoch, usually the commit's time; default 0. */
  readonly created?: number;
  /** A path of the closure with CA certificates; default: the package that has them, if one is there. */
  readonly caBundle?: StorePath;
  readonly base?: BaseImage;
  /** The last revision of the same image: its layers are kept where that saves noticeably. */
  readonly previous?: { readonly layers: readonly Layer[] };
  /** Earlier revisions of the same image, oldest first. */
  readonly history?: PathHistory;
  /** The plan that follows from the closure alone, whatever it costs. */
  readonly freshPlan?: boolean;
  /** A recorded plan to follow exactly. */
  readonly plan?: LayerPlan;
}

export interface ImageContext {
  /** Keeps digests of layers; without it every layer that `previous` does not have is read. */
  readonly db?: Database;
  /** Shared by builds of one process; default: one for this call. */
  readonly hasher?: LayerHasher;
  /** Hashing threads when there is no `hasher`. */
  readonly concurrency?: number;
  readonly location?: StoreLocation;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: HashProgress) => void;
  /** Told what the image consists of and runs, before its bytes are read. */
  readonly onPlanned?: (planned: PlannedImage) => void;
}

export interface PlannedImage {
  /** Of the layers that Kiln makes, lowest first. */
  readonly recipes: readonly LayerRecipe[];
  readonly config: RunConfig;
}

export interface BuiltImage {
  readonly config: Buffer;
  readonly configDigest: OciDigest;
  readonly manifest: Buffer;
  readonly manifestDigest: OciDigest;
  /** Made by Kiln, lowest first; those of a base image lie below and are not listed. */
  readonly layers: readonly Layer[];
  /** Bytes of config and all layers. */
  readonly size: number;
  readonly plan: LayerPlan;
  /** `fresh` follows from the closure alone, `kept` from the releases before as well, `given` was asked for. */
  readonly planKind: PlanChoice['kind'] | 'given';
  /** Bytes of store paths in layers that `previous` does not have. */
  readonly newBytes: number;
  readonly findings: readonly Finding[];
  /** Layers whose digest was known. */
  readonly reusedLayers: number;
  /** Bytes read to hash the others. */
  readonly hashedBytes: number;
}

/** @throws KilnError image-failed, store-path-missing, store-path-changed, invalid-input */
export async function buildImage(request: ImageRequest, context: ImageContext = {}): Promise<BuiltImage> {
  const location = context.location ?? REAL_STORE;
  const settings = request.settings ?? {};
  const user = imageUser(settings.user);
  const entryPoint = findEntryPoint({
    roots: request.closure.roots,
    facts: request.program ?? {},
    ...(settings.entrypoint === undefined ? {} : { entrypoint: settings.entrypoint }),
    tree: new ImageTree(request.closure, [], location.physicalRoot),
  });
  const root = rootFor(request, user, location);
  const { plan, kind: planKind, newBytes } = planFor(request);
  const rootEntries = withAttributes(settings, root.entries);
  const recipes = [...storeRecipes(request, plan), recipe(rootEntries)];
  const run = runConfigFrom({
    roots: request.closure.roots,
    entryPoint,
    settings,
    user,
    foundEnv: root.env,
    environmentVars: request.environmentVars ?? {},
    labels: standardLabels(request),
    ...(request.base === undefined ? {} : { base: request.base.config.config }),
  });
  const findings = preflight({
    closure: request.closure,
    rootEntries,
    config: run,
    system: request.system,
    layerCount: recipes.length + (request.base?.layers.length ?? 0),
    onBase: request.base !== undefined,
    physicalRoot: location.physicalRoot,
  });
  findings.push(...checkModes(settings));
  context.onPlanned?.({ recipes, config: run });
  const { layers, reused, hashedBytes } = await hashWith(recipes, request, context, location);
  return {
    ...assemble(request, run, layers),
    layers,
    plan,
    planKind,
    newBytes,
    findings,
    reusedLayers: reused,
    hashedBytes,
  };
}

type Documents = Pick<BuiltImage, 'config' | 'configDigest' | 'manifest' | 'manifestDigest' | 'size'>;

function assemble(request: ImageRequest, run: ImageConfig['config'], layers: readonly Layer[]): Documents {
  const base = request.base;
  const config = encodeImageConfig(
    imageConfigFrom({
      system: request.system,
      created: request.created ?? 0,
      config: run,
      layers,
      ...(base === undefined ? {} : { base: base.config }),
    }),
  );
  const configDigest = digestOf(config);
  const descriptors = [
    ...(base?.layers ?? []),
    ...layers.map(({ digest, size }) => ({ mediaType: OCI_LAYER_TAR, digest, size })),
  ];
  const manifest = encodeManifest({
    mediaType: OCI_MANIFEST,
    config: { mediaType: OCI_CONFIG, digest: configDigest, size: config.length },
    layers: descriptors,
    annotations: standardLabels(request),
  });
  const size = config.length + descriptors.reduce((sum, layer) => sum + layer.size, 0);
  return { config, configDigest, manifest, manifestDigest: digestOf(manifest), size };
}

function rootFor(request: ImageRequest, user: ImageUser, location: StoreLocation): RootFilesystem {
  const { settings = {}, base } = request;
  const workdir = settings.workdir === undefined || settings.workdir === '/' ? [] : [settings.workdir];
  return rootFilesystem({
    closure: request.closure,
    system: request.system,
    user,
    // A working directory inside a build output exists already and stays read-only.
    writable: [...workdir.filter((path) => !path.startsWith('/nix/')), ...(settings.writable ?? [])],
    files: settings.files ?? {},
    ...(request.caBundle === undefined ? {} : { caBundle: request.caBundle }),
    physicalRoot: location.physicalRoot,
    onBase: base !== undefined,
    shell: settings.shell ?? true,
  });
}

type PlanFor = Pick<PlanChoice, 'plan' | 'newBytes'> & { readonly kind: BuiltImage['planKind'] };

function planFor(request: ImageRequest): PlanFor {
  if (request.plan !== undefined) {
    checkPlan(request.plan, request.closure);
    return { plan: request.plan, kind: 'given', newBytes: 0 };
  }
  const below = request.base?.layers.length ?? 0;
  const budget = Math.min(LAYER_BUDGET - 1, LAYER_CAP - 1 - below);
  if (budget < 1)
    throw new KilnError(
      'image-failed',
      `The base image has ${below} layers, which leaves none of ${LAYER_CAP}`,
    );
  const existing = (request.previous?.layers ?? []).map(({ recipe: { entries } }) =>
    entries.flatMap((entry) => (entry.type === 'store-path' ? [entry.path] : [])),
  );
  const history = request.history ?? [];
  const choice = choosePlan(request.closure, { budget, existing, history });
  if (request.freshPlan !== true || choice.kind === 'fresh') return choice;
  return {
    plan: planLayers(request.closure, { budget }),
    kind: 'fresh',
    newBytes: choice.otherNewBytes ?? 0,
  };
}

function storeRecipes({ closure, settings = {} }: ImageRequest, plan: LayerPlan): LayerRecipe[] {
  const infos = new Map(closure.paths.map((info) => [info.path, info]));
  const exceptions = storeAttributes(settings, closure);
  return plan.layers.map((paths) =>
    recipe(
      paths.flatMap((path) => {
        const info = infos.get(path);
        if (info === undefined) return [];
        const { narHash, narSize } = info;
        const attributes = exceptions.get(path);
        return [
          {
            type: 'store-path',
            path,
            narHash,
            narSize,
            ...(attributes === undefined ? {} : { attributes }),
          } as const,
        ];
      }),
    ),
  );
}

function recipe(entries: LayerRecipe['entries']): LayerRecipe {
  return { profile: TAR_PROFILE, mtime: 1, entries };
}

async function hashWith(
  recipes: readonly LayerRecipe[],
  request: ImageRequest,
  context: ImageContext,
  location: StoreLocation,
): ReturnType<typeof hashLayers> {
  const { db, signal, onProgress, concurrency } = context;
  const options = {
    known: request.previous?.layers ?? [],
    ...(db === undefined ? {} : { db }),
    ...(signal === undefined ? {} : { signal }),
    ...(onProgress === undefined ? {} : { onProgress }),
  };
  if (context.hasher !== undefined) return hashLayers(recipes, { ...options, hasher: context.hasher });
  await using hasher = new LayerHasher({
    location,
    ...(concurrency === undefined ? {} : { threads: concurrency }),
  });
  return await hashLayers(recipes, { ...options, hasher });
}

function standardLabels(request: ImageRequest): Record<string, string> {
  const { base } = request;
  return {
    'org.opencontainers.image.created': rfc3339(request.created ?? 0),
    'org.opencontainers.image.title': request.name,
    ...(base === undefined ? {} : { 'org.opencontainers.image.base.digest': base.digest }),
    ...(base?.name === undefined ? {} : { 'org.opencontainers.image.base.name': base.name }),
    ...request.labels,
  };
}
