/**
 * Kiln as a library: `import { NixBuildService, BuildPipeline } from 'kiln'`. See docs/library.md.
 *
 * The classes share one Kiln per process. The first call opens it, with the settings of the command line (`KILN_HOME`,
 * `DATABASE_URL`, `kiln.toml` …); `closeKiln()` closes it.
 */
export { KilnError, type ErrorCode, type Failure } from './base/error.ts';
export type { BuildStatus } from './build/build-record.ts';
export type { BuildStatistics } from './build/build-statistics.ts';
export type { AppSettings } from './config/app-settings.ts';
export type { CommitInfo } from './git/commit-info.ts';
export {
  GitIntegration,
  type CloneRepositoryOptions,
  type CloneRepositoryResult,
  type GitRemoteOptions,
  type GitValidation,
  type ValidateGitUrlOptions,
} from './git/git-integration.ts';
export type { RemoteRefs } from './git/remote-refs.ts';
export type { FollowOptions } from './library/await-build.ts';
export { BuildPipeline, type ExecutePipelineOptions, type PipelineResult } from './library/build-pipeline.ts';
export type { BuildResult, BuildSummary } from './library/build-summary.ts';
export { closeKiln } from './library/default-kiln.ts';
export {
  NixBuildService,
  type BuildListOptions,
  type BuildLogOptions,
  type CommonBuildOptions,
  type ExpressionValidation,
  type GitRepositoryOptions,
  type NixExpressionOptions,
  type TemplateOptions,
} from './library/nix-build-service.ts';
export {
  NixCacheService,
  type CachedPackageResult,
  type CacheStatistics,
  type WorkerCache,
  type WorkerCacheOptions,
} from './library/nix-cache-service.ts';
export type { ApplicationTemplate, BuildCustomizations } from './library/template-registry.ts';
export type { LogLineView, StepView } from './pipeline/build-view.ts';
export type { TemplateSummary } from './source/templates/list-templates.ts';
