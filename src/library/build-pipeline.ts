/** The public class for releases: from a result in the store to an image that starts, in the registry. */
import { realpath } from 'node:fs/promises';
import { KilnError } from '../base/error.ts';
import { enqueueBuild } from '../build/build-queue.ts';
import { getBuildStatistics, type BuildStatistics } from '../build/build-statistics.ts';
import { copyImage, findReleased } from '../build/release-queries.ts';
import { appSettingsSchema, type AppSettings } from '../config/app-settings.ts';
import { parseBuildRequest } from '../pipeline/build-request.ts';
import type { ReleaseSettings } from '../pipeline/release-settings.ts';
import { mergeAppSettings } from '../source/read-app-settings.ts';
import { isStorePath } from '../store/store-path.ts';
import { awaitBuild, FOLLOW_OPTIONS, type FollowOptions } from './await-build.ts';
import { pushedOf, type BuildResult } from './build-summary.ts';
import { checkOptions } from './check-options.ts';
import { withKiln, type OpenKiln } from './default-kiln.ts';

export interface ExecutePipelineOptions extends FollowOptions {
  /** 1 to 128 characters; statistics go by it. */
  readonly serviceId: string;
  /** First part of the image's name, where it is given: lower-case letters, digits and single `.`, `_`, `-`. */
  readonly organizationId?: string;
  /** The application's name: last part of the image's name. */
  readonly slug: string;
  /** A store path, or a link to one such as the `result` of `nix-build`. */
  readonly nixResultPath: string;
  /** One of `NixBuildService`, or any other: letters, digits, `.`, `_`, `-`, at most 128. Becomes a tag. */
  readonly buildId: string;
  readonly environmentVars?: Readonly<Record<string, string>>;
  /** Default `latest`; the build's identifier and the time (`YYYYMMDD-HHMMSS`, UTC) are tags as well. */
  readonly tag?: string;
  /** References in other registries to push to. One that fails fails the call, unlike `DOCKER_REGISTRY_URL`. */
  readonly push?: readonly string[];
  /**
   * Image settings as in an application's `kiln.toml`: entrypoint, cmd, ports, user … They are added to those that the
   * build of `buildId` brought (its `kiln.toml`, template and variables), where it is on record.
   */
  readonly image?: AppSettings['image'];
  /** What counts as started, as in `kiln.toml`: `{ http: '/healthz', port: 8080 }`, `{ exit: true }` … */
  readonly health?: AppSettings['health'];
  /** Seconds for the whole call, 1 to 3600; default 1800. */
  readonly buildTimeout?: number;
}

/** Sizes in bytes, durations in seconds. */
export interface PipelineResult extends BuildResult {
  /** The identifier that was given; the log of this run is kept under `pipelineId`. */
  readonly buildId: string;
  /** Record of this run for `getBuildStatus` and `getBuildLogs`; differs from `buildId` where that is a build of `NixBuildService`. */
  readonly pipelineId: string;
  /** What names the image in the embedded registry. */
  readonly tags: readonly string[];
  /** References in other registries that took it. */
  readonly pushedTo: readonly string[];
  /** Why the configured registry did not take it, where it did not. */
  readonly warnings: readonly string[];
}

const OPTIONS: readonly (keyof ExecutePipelineOptions)[] = [
  ...FOLLOW_OPTIONS, 'serviceId', 'organizationId', 'slug', 'nixResultPath', 'buildId', 'environmentVars', 'tag', 'push',
  'image', 'health', 'buildTimeout',
]; // prettier-ignore

const ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/** Every method may also throw what opening Kiln throws: KilnError invalid-config, database-unreachable, database-in-use, tool-missing. */
export class BuildPipeline {
  /**
   * Makes an image of a result, starts it once to see that it runs, puts it into the embedded registry, and pushes it to
   * `DOCKER_REGISTRY_URL` where that is set. The tags move last: when anything fails they still name the image before, and
   * what runs from it goes on. A registry that stays away after retries is a warning; the image is in the embedded one.
   * The same result gives the same digest.
   *
   * A failure resolves with `success: false`, `error` and `reason`.
   * @throws KilnError invalid-input, invalid-name, not-found for options that cannot be used
   */
  static async executePipeline(options: ExecutePipelineOptions): Promise<PipelineResult> {
    checkOptions('executePipeline', options, OPTIONS);
    const { buildId, serviceId, organizationId, slug } = options;
    if (typeof buildId !== 'string' || !ID.test(buildId)) {
      throw new KilnError(
        'invalid-name',
        `${JSON.stringify(String(buildId).slice(0, 140))} cannot name a build`,
        {
          hint: 'It becomes a tag: letters, digits, ".", "_" and "-", at most 128, beginning with a letter or digit.',
        },
      );
    }
    const path = await storePathOf(options.nixResultPath);
    const request = parseBuildRequest({
      // Checked like any other request; the source is put in below, since none from outside may be a store path.
      source: { kind: 'directory', path },
      serviceId,
      organizationId,
      name: organizationId === undefined ? slug : `${organizationId}/${slug}`,
      tag: options.tag,
      push: options.push,
      options: { environmentVars: options.environmentVars, buildTimeout: options.buildTimeout },
    });
    const application = checkApplication({ image: options.image, health: options.health });
    const { name, tag, push, image, freshPlan } = request;
    const settings: ReleaseSettings = { name, tag, push, image, freshPlan, buildTag: buildId };
    return await withKiln(async (open) => {
      const db = await open.kiln.db();
      const known = await findReleased(db, buildId);
      const partOf = known === undefined || known.isRelease ? undefined : buildId;
      const brought = partOf === undefined ? {} : appSettingsSchema.parse(known?.application);
      const { build: queued } = await enqueueBuild(
        db,
        {
          ...(known === undefined ? { id: buildId } : {}),
          serviceId: request.serviceId,
          ...(organizationId === undefined ? {} : { organizationId }),
          slug,
          source: { kind: 'store-path', path },
          options: request.options,
          settings: plain({ ...settings, partOf, application: mergeAppSettings(brought, application) }),
        },
        open.kiln.clock,
      );
      return await this.#run(open, queued.id, options, partOf);
    });
  }

  /**
   * Figures about the builds of a service, or of all without `serviceId`: `successRate` and `cacheHitRate` in percent,
   * `averageBuildTime` in seconds and `averageArtifactSize` in bytes over successful builds. A pipeline run for a build of
   * `NixBuildService` belongs to that build and is not counted again. All figures are 0 for a service without builds.
   */
  static async getBuildStatistics(serviceId?: string): Promise<BuildStatistics> {
    return await withKiln(async ({ kiln }) => await getBuildStatistics(await kiln.db(), serviceId));
  }

  static async #run(
    open: OpenKiln,
    id: string,
    options: ExecutePipelineOptions,
    partOf: string | undefined,
  ): Promise<PipelineResult> {
    await open.startWorker();
    const { result, build } = await awaitBuild(open, id, options);
    if (partOf !== undefined && result.success) await copyImage(await open.kiln.db(), id, partOf);
    return { ...result, ...pushedOf(build), buildId: options.buildId, pipelineId: id };
  }
}

/** As the database stores it: without what is undefined. */
function plain(settings: ReleaseSettings): Record<string, unknown> {
  return JSON.parse(JSON.stringify(settings)) as Record<string, unknown>;
}

/** @throws KilnError not-found, invalid-input */
async function storePathOf(text: string): Promise<string> {
  if (typeof text !== 'string' || text === '')
    throw new KilnError('invalid-input', 'nixResultPath is missing', {
      hint: 'Give a store path, or the `result` link of a build.',
    });
  const path = await realpath(text).catch((error: unknown) => {
    throw new KilnError('not-found', `There is no ${text}`, {
      hint: 'Build it first: NixBuildService gives nixResultPath, nix-build makes the link `result`.',
      cause: error,
    });
  });
  if (isStorePath(path)) return path;
  throw new KilnError('invalid-input', `${text} is not a result of Nix`, {
    where: path,
    hint: 'Give a path directly below /nix/store, or a link to one.',
  });
}

/** @throws KilnError invalid-input */
function checkApplication(settings: AppSettings): AppSettings {
  const checked = appSettingsSchema.safeParse(settings);
  if (checked.success) return checked.data;
  throw new KilnError('invalid-input', 'These settings of the image cannot be used', {
    where: checked.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('\n'),
    hint: 'They are those of `[image]` and `[health]` in kiln.toml: see docs/kiln-toml.md.',
  });
}
