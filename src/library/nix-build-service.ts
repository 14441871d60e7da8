/** The public class for builds: from an expression, a repository or a template, with their states and logs. */
import { forgetBuilds } from '../app/cache-functions.ts';
import { isKilnError, KilnError } from '../base/error.ts';
import { cancelBuild, retryBuild } from '../build/build-queue.ts';
import { listBuilds } from '../build/build-queries.ts';
import type { BuildStatus } from '../build/build-record.ts';
import { followLog, readLog } from '../build/read-log.ts';
import { readBuildState, waitForBuild } from '../build/watch-build.ts';
import { checkSyntax } from '../nix/check-syntax.ts';
import { parseBuildRequest } from '../pipeline/build-request.ts';
import type { LogLineView } from '../pipeline/build-view.ts';
import { viewLine } from '../pipeline/view-build.ts';
import type { SourceSpec } from '../source/source.ts';
import type { TemplateSummary } from '../source/templates/list-templates.ts';
import { pruneTrees } from '../source/tree/prune-trees.ts';
import { awaitBuild, FOLLOW_OPTIONS, type FollowOptions } from './await-build.ts';
import { failureText, summarise, type BuildResult, type BuildSummary } from './build-summary.ts';
import { checkDays, checkOptions } from './check-options.ts';
import { iterateWithKiln, withKiln } from './default-kiln.ts';
import {
  addTemplate,
  allTemplates,
  resolveTemplate,
  type ApplicationTemplate,
  type BuildCustomizations,
} from './template-registry.ts';

/** What every way of building takes. */
export interface CommonBuildOptions extends FollowOptions {
  /** Whose build it is: statistics, fairness of the queue and superseding go by it. 1 to 128 characters. */
  readonly serviceId: string;
  readonly organizationId?: string;
  /** For the image, and for the build where the expression asks for arguments of those names. */
  readonly environmentVars?: Readonly<Record<string, string>>;
  /** Seconds, 1 to 3600; default 1800. */
  readonly buildTimeout?: number;
  /** Seconds without output after which the build ends, 1 to 3600; default 600. */
  readonly silenceTimeout?: number;
  /** Attribute path to build, where the source gives several. */
  readonly attr?: string;
  /** What `<nixpkgs>` is: the user's own, the basis, or whichever is there (default). */
  readonly packages?: 'nixpkgs' | 'basis' | 'auto';
  /** Goes on to an image in the embedded registry. Default false: `BuildPipeline.executePipeline` makes it from `nixResultPath`. */
  readonly image?: boolean;
  /** Repository name of the image; default: by the source. */
  readonly imageName?: string;
  /** Default `latest`; the build's identifier and the time are tags as well. */
  readonly imageTag?: string;
  /** References in other registries to push the image to. */
  readonly push?: readonly string[];
  /** Whose cache settings apply (see `NixCacheService.configureCacheForWorker`); default: this machine's. */
  readonly workerId?: string;
}

export interface NixExpressionOptions extends CommonBuildOptions {
  /** The expression, at most 1 MiB. `./.` is a folder with it as `default.nix` and with `files`. */
  readonly nixExpression: string;
  /** Files beside the expression: relative path → content. */
  readonly files?: Readonly<Record<string, string>>;
}

export interface GitRepositoryOptions extends CommonBuildOptions {
  /** https:// or SSH address, without credentials. */
  readonly repoUrl: string;
  /** Branch or tag; default: the remote's HEAD. */
  readonly branch?: string;
  /** A commit to build instead of the newest one of the branch. */
  readonly commit?: string;
  /** For https:// addresses. Never stored, logged or shown. */
  readonly accessToken?: string;
  /** Private key (its text) for SSH addresses. Never stored, logged or shown. */
  readonly sshKey?: string;
  readonly subdirectory?: string;
  /** Default false. */
  readonly submodules?: boolean;
  /** Without history; default true. */
  readonly shallow?: boolean;
  /** Commits of history; default 1. */
  readonly depth?: number;
}

export interface TemplateOptions extends CommonBuildOptions {
  /** `node`, `python`, `go`, `static-site`, or one that `registerTemplate` was given. */
  readonly templateId: string;
  readonly customizations?: BuildCustomizations;
}

export interface BuildLogOptions {
  /** Default: the newest. */
  readonly attempt?: number;
  /** Only lines with a larger sequence number. */
  readonly after?: number;
}

export interface BuildListOptions {
  readonly serviceId?: string;
  readonly status?: BuildStatus;
  /** Default 50. */
  readonly limit?: number;
}

export interface ExpressionValidation {
  readonly valid: boolean;
  /** Message, position with the source line, and hint, as text to show. */
  readonly error?: string;
  readonly file?: string;
  /** From 1. */
  readonly line?: number;
  /** From 1. */
  readonly column?: number;
  readonly sourceLine?: string;
}

const COMMON: readonly (keyof CommonBuildOptions)[] = [
  ...FOLLOW_OPTIONS, 'serviceId', 'organizationId', 'environmentVars', 'buildTimeout', 'silenceTimeout', 'attr',
  'packages', 'image', 'imageName', 'imageTag', 'push', 'workerId',
]; // prettier-ignore

/**
 * Builds run in this process, in a queue that all processes with the same database share. Every method may also throw
 * what opening Kiln throws: KilnError invalid-config, database-unreachable, database-in-use, tool-missing.
 */
export class NixBuildService {
  /**
   * Builds an expression and waits for the end. Its syntax is checked before anything else is done with it. A build that
   * fails resolves with `success: false`, `error` and `reason`.
   * @throws KilnError invalid-input, invalid-name for options that cannot be used
   */
  static async buildFromNixExpression(options: NixExpressionOptions): Promise<BuildResult> {
    checkOptions('buildFromNixExpression', options, [...COMMON, 'nixExpression', 'files']);
    const { nixExpression: expression, files, ...common } = options;
    const source = { kind: 'expression', expression, ...(files === undefined ? {} : { files }) } as const;
    return await build(source, common);
  }

  /**
   * Builds a repository and waits for the end: its Nix file, else the template that recognises it. A newer call for the
   * same service and branch cancels an older one that still waits. A repository that cannot be reached is a failed build.
   * @throws KilnError invalid-input, invalid-name for options that cannot be used
   */
  static async buildFromGitRepository(options: GitRepositoryOptions): Promise<BuildResult> {
    checkOptions('buildFromGitRepository', options, [
      ...COMMON, 'repoUrl', 'branch', 'commit', 'accessToken', 'sshKey', 'subdirectory', 'submodules', 'shallow', 'depth',
    ]); // prettier-ignore
    const {
      repoUrl,
      branch,
      commit,
      accessToken,
      sshKey,
      subdirectory,
      submodules,
      shallow,
      depth,
      ...common
    } = options;
    const ref = commit ?? branch;
    const source = {
      kind: 'git',
      url: repoUrl,
      ...(ref === undefined ? {} : { ref }),
      ...(subdirectory === undefined ? {} : { subdirectory }),
      ...(submodules === undefined ? {} : { submodules }),
      ...(shallow === undefined ? {} : { shallow }),
      ...(depth === undefined ? {} : { depth }),
    } as const;
    return await build(source, common, { accessToken, sshKey });
  }

  /**
   * Builds a template with the given customizations and waits for the end.
   * @throws KilnError not-found listing the templates; invalid-input, invalid-name for options that cannot be used
   */
  static async buildFromTemplate(options: TemplateOptions): Promise<BuildResult> {
    checkOptions('buildFromTemplate', options, [...COMMON, 'templateId', 'customizations']);
    const { templateId, customizations = {}, environmentVars, ...common } = options;
    checkOptions('customizations of buildFromTemplate', customizations, ['environmentVars', 'files']);
    const template = resolveTemplate(templateId, customizations);
    return await build(template.source, {
      ...common,
      environmentVars: { ...environmentVars, ...template.environmentVars },
    });
  }

  /**
   * Makes an application template known to this process by its `id`; one of the same id is replaced.
   * @throws KilnError invalid-name, invalid-input, not-found (`basedOn`), conflict (the name of one of Kiln's own)
   */
  static registerTemplate(template: ApplicationTemplate): void {
    checkOptions('registerTemplate', template, [
      'id', 'title', 'description', 'nixExpression', 'basedOn', 'files', 'environmentVars',
    ]); // prettier-ignore
    addTemplate(template);
  }

  /** Kiln's own templates, then the registered ones. `name` is what `templateId` takes. */
  static listTemplates(): readonly TemplateSummary[] {
    return allTemplates();
  }

  /** Parses an expression without evaluating it; what is wrong with it is in the result. @throws KilnError nix-failed */
  static async validateNixExpression(nixExpression: string): Promise<ExpressionValidation> {
    return await withKiln(async ({ kiln, signal }) => {
      try {
        await checkSyntax(await kiln.nix(), { text: nixExpression, displayName: 'expression' }, { signal });
        return { valid: true };
      } catch (error) {
        if (!isKilnError(error) || (error.code !== 'syntax-error' && error.code !== 'evaluation-failed'))
          throw error;
        const { message, where, hint, code, fields } = error;
        return { valid: false, error: failureText({ code, message, where, hint }), ...positionOf(fields) };
      }
    });
  }

  /** How a build stands now. @throws KilnError not-found */
  static async getBuildStatus(buildId: string): Promise<BuildSummary> {
    return await withKiln(async ({ kiln }) => summarise(await readBuildState(await kiln.db(), buildId)));
  }

  /** Builds, newest first. */
  static async listBuilds(options: BuildListOptions = {}): Promise<readonly BuildSummary[]> {
    checkOptions('listBuilds', options, ['serviceId', 'status', 'limit']);
    return await withKiln(async ({ kiln }) =>
      (await listBuilds(await kiln.db(), options)).map((record) => summarise({ build: record, steps: [] })),
    );
  }

  /**
   * The log as it is stored now: both streams in order, each line with its time, step and derivation. Of very long logs
   * the head and the tail are kept; one line of stream `kiln` says how much is missing. Empty while the build waits.
   * @throws KilnError not-found
   */
  static async getBuildLogs(buildId: string, options: BuildLogOptions = {}): Promise<readonly LogLineView[]> {
    checkOptions('getBuildLogs', options, ['attempt', 'after']);
    return await withKiln(async ({ kiln }) => {
      const db = await kiln.db();
      const { build: record } = await readBuildState(db, buildId);
      if (record.attempt === 0) return [];
      const { attempt = record.attempt, after = 0 } = options;
      const lines: LogLineView[] = [];
      for await (const line of readLog(db, { buildId, attempt, after })) lines.push(viewLine(line));
      return lines;
    });
  }

  /**
   * The log from `after` on, each line once, until the attempt has ended or `signal` is aborted. Begins at once for a
   * build that runs or ran; ends at once for one that still waits.
   * @throws KilnError not-found
   */
  static async *followBuildLogs(
    buildId: string,
    options: BuildLogOptions & { readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<LogLineView> {
    checkOptions('followBuildLogs', options, ['attempt', 'after', 'signal']);
    yield* iterateWithKiln(async function* ({ kiln, signal }) {
      const db = await kiln.db();
      const { build: record } = await readBuildState(db, buildId);
      if (record.attempt === 0) return;
      const { attempt = record.attempt, after = 0 } = options;
      const until = options.signal === undefined ? signal : AbortSignal.any([signal, options.signal]);
      for await (const line of followLog(db, { buildId, attempt, after }, until)) yield viewLine(line);
    });
  }

  /**
   * Cancels a build that waits or runs, and waits until its whole process tree has ended.
   * @throws KilnError not-found; conflict when it has ended already; timed-out when its worker does not react in 60 s
   */
  static async cancelBuild(buildId: string): Promise<BuildSummary> {
    return await withKiln(async ({ kiln, signal }) => {
      const db = await kiln.db();
      await cancelBuild(db, buildId);
      const limit = new AbortController();
      const timer = setTimeout(() => limit.abort(doesNotEnd(buildId)), CANCEL_WAIT_MS);
      try {
        await waitForBuild(db, buildId, AbortSignal.any([signal, limit.signal]));
      } finally {
        clearTimeout(timer);
      }
      return summarise(await readBuildState(db, buildId));
    });
  }

  /** Runs a failed or cancelled build again and waits for the end. Credentials are not kept. @throws KilnError not-found, conflict */
  static async retryBuild(buildId: string, options: FollowOptions = {}): Promise<BuildResult> {
    checkOptions('retryBuild', options, FOLLOW_OPTIONS);
    return await withKiln(async (open) => {
      await retryBuild(await open.kiln.db(), buildId);
      await open.startWorker();
      return (await awaitBuild(open, buildId, options)).result;
    });
  }

  /**
   * Removes builds that ended more than `days` ago, with their logs, source copies and roots; images and store paths
   * stay (see `NixCacheService.cleanupOldPackages`). Deployed builds and the newest of each service stay.
   * @param options.keepNewest builds of each service that stay whatever their age; default: setting `retention.buildsPerService`, 50
   * @returns how many were removed
   * @throws KilnError invalid-input
   */
  static async cleanupOldBuilds(days = 30, options: { readonly keepNewest?: number } = {}): Promise<number> {
    checkDays('cleanupOldBuilds', days);
    checkOptions('cleanupOldBuilds', options, ['keepNewest']);
    return await withKiln(async ({ kiln }) => {
      const keepNewest = options.keepNewest ?? kiln.settings.retention.buildsPerService;
      const removed = await forgetBuilds(kiln, { olderThanDays: days, keepNewest });
      const age = Math.max(days * 86_400_000, RECENT_MS);
      await pruneTrees(kiln.folders.workspace, age, kiln.clock.now());
      return removed.length;
    });
  }
}

const CANCEL_WAIT_MS = 60_000;
/** A copy of a source that a running build may read is younger than the longest build. */
const RECENT_MS = 2 * 3_600_000;

async function build(
  source: SourceSpec,
  options: CommonBuildOptions,
  credentials: { readonly accessToken?: string; readonly sshKey?: string } = {},
): Promise<BuildResult> {
  const { attr, environmentVars, packages, buildTimeout, silenceTimeout } = options;
  const { serviceId, organizationId, image = false, imageName, imageTag, push, workerId } = options;
  if (typeof serviceId !== 'string' || serviceId === '')
    throw new KilnError('invalid-input', 'serviceId is missing', {
      hint: 'Give the service that the build is for.',
    });
  const request = parseBuildRequest({
    source,
    serviceId,
    organizationId,
    options: { attr, environmentVars, packages, buildTimeout, silenceTimeout },
    image,
    name: imageName,
    tag: imageTag,
    push,
    workerId,
  });
  return await withKiln(async (open) => {
    const { id } = await open.api.createBuild(request, credentials);
    await open.startWorker();
    return (await awaitBuild(open, id, options)).result;
  });
}

function positionOf(fields: Readonly<Record<string, unknown>>): Partial<ExpressionValidation> {
  const { file, line, column, sourceLine } = fields;
  return {
    ...(typeof file === 'string' ? { file } : {}),
    ...(typeof line === 'number' ? { line } : {}),
    ...(typeof column === 'number' ? { column } : {}),
    ...(typeof sourceLine === 'string' ? { sourceLine } : {}),
  };
}

function doesNotEnd(buildId: string): KilnError {
  return new KilnError('timed-out', `${buildId} was asked to end and has not ended yet`, {
    hint: 'Its worker may be busy or gone; the build ends when the worker sees the request, or is taken from it.',
  });
}
