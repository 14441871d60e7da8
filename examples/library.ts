/**
 * Kiln as a library: every call of the build service, the Git functions, the pipeline and the cache.
 *
 * `kiln` is this package. Each function runs by itself; the address of the repository, the folders and the cache are
 * arguments, so that they can be tried with others than those of the text.
 */
import {
  BuildPipeline,
  GitIntegration,
  NixBuildService,
  NixCacheService,
  type BuildResult,
  type CloneRepositoryResult,
  type CommitInfo,
  type PipelineResult,
} from 'kiln';

/** A small service, as a Makefile would install it: what `./.` holds in the expression below. */
const files = {
  'server.js': `console.log('running as', process.env.NODE_ENV ?? 'development');`,
  Makefile: [
    'all:',
    'install:',
    '\tmkdir -p $(out)/bin $(out)/share',
    '\tcp server.js $(out)/share/server.js',
    '\tprintf \'#!%s\\nexec %s %s\\n\' "$$(command -v bash)" "$$(command -v node)" $(out)/share/server.js > $(out)/bin/my-app',
    '\tchmod +x $(out)/bin/my-app',
    '',
  ].join('\n'),
};

/** Builds from a Nix expression. */
export async function buildFromExpression(): Promise<BuildResult> {
  const result = await NixBuildService.buildFromNixExpression({
    serviceId: 'service-123',
    nixExpression: `
    with import <nixpkgs> {};
    stdenv.mkDerivation {
      name = "my-app";
      src = ./.;
      buildInputs = [ nodejs ];
    }
  `,
    environmentVars: {
      NODE_ENV: 'production',
    },
    files,
  });
  console.log(result.success ? `Built ${result.nixResultPath}` : result.error);
  return result;
}

/** Builds from a Git repository. */
export async function buildFromRepository(
  repoUrl = 'https://github.com/user/repo.git',
): Promise<BuildResult> {
  const gitResult = await NixBuildService.buildFromGitRepository({
    serviceId: 'service-123',
    repoUrl,
    branch: 'main',
    accessToken: 'github_pat_...',
  });
  console.log(gitResult.success ? `Built ${gitResult.commitSha}` : gitResult.error);
  return gitResult;
}

/** Registers a template of one's own, and builds from it. */
export async function buildFromTemplate(): Promise<BuildResult> {
  NixBuildService.registerTemplate({
    id: 'template-456',
    title: 'A greeting',
    nixExpression: `
    { PORT ? "3000" }:
    with import <nixpkgs> {};
    writeShellApplication {
      name = "greeting";
      text = "echo 'would listen on \${PORT}'";
    }
  `,
  });
  const templateResult = await NixBuildService.buildFromTemplate({
    serviceId: 'service-123',
    templateId: 'template-456',
    customizations: {
      environmentVars: {
        PORT: '8080',
      },
    },
  });
  console.log(templateResult.success ? `Built ${templateResult.nixResultPath}` : templateResult.error);
  return templateResult;
}

/** Looks at a build while it runs, reads its log, cancels it, and removes old builds. */
export async function followABuild(): Promise<BuildResult> {
  const result = await NixBuildService.buildFromNixExpression({
    serviceId: 'service-123',
    nixExpression: `with import <nixpkgs> {}; runCommand "endless" { } "while :; do :; done"`,
    buildTimeout: 2400, // 40 minutes
    onStep: (step) => console.log(`${step.name}: ${step.status}`),
    onStart: (buildId) => void stopWhenItBuilds(buildId),
  });
  const log = await NixBuildService.getBuildLogs(result.buildId);
  console.log(`${result.status} after ${result.duration} s and ${log.length} lines`);
  console.log(`Removed ${await NixBuildService.cleanupOldBuilds(30)} old builds`);
  return result;
}

async function stopWhenItBuilds(buildId: string): Promise<void> {
  for await (const line of NixBuildService.followBuildLogs(await started(buildId))) {
    if (line.step === 'build') break;
  }
  const { status } = await NixBuildService.cancelBuild(buildId);
  console.log(`${buildId} is ${status}`);
}

async function started(buildId: string): Promise<string> {
  while ((await NixBuildService.getBuildStatus(buildId)).status === 'pending')
    await new Promise((resolve) => setTimeout(resolve, 50));
  return buildId;
}

/** Validates an address, clones a repository, and reads a commit. */
export async function useGit(
  repoUrl = 'https://github.com/user/repo.git',
  directory = '/tmp/build-dir',
  options: { readonly allowLoopback?: boolean } = {},
): Promise<{ readonly cloneResult: CloneRepositoryResult; readonly commitInfo: CommitInfo }> {
  const validation = await GitIntegration.validateGitUrl(repoUrl, options);
  if (!validation.valid) throw new Error(validation.error);

  const cloneResult = await GitIntegration.cloneRepository(repoUrl, directory, {
    ...options,
    branch: 'main',
    shallow: true,
    depth: 1,
    accessToken: 'github_pat_...',
  });

  const commitInfo = await GitIntegration.getCommitInfo(directory, cloneResult.commitSha);
  console.log(`${commitInfo.sha} ${commitInfo.author}: ${commitInfo.message}`);
  return { cloneResult, commitInfo };
}

/** Makes an image of a result and puts it into the registry. */
export async function releaseResult(
  nixResultPath = '/tmp/build-dir/result',
  buildId = 'build-789',
): Promise<PipelineResult> {
  const result = await BuildPipeline.executePipeline({
    serviceId: 'service-123',
    organizationId: 'org-456',
    slug: 'my-app',
    nixResultPath,
    buildId,
  });
  console.log(result.success ? `${result.imageReference}@${result.imageDigest}` : result.error);

  const stats = await BuildPipeline.getBuildStatistics('service-123');
  console.log(`Success rate: ${stats.successRate}%`);
  console.log(`Average build time: ${stats.averageBuildTime}s`);
  return result;
}

/** Configures where packages come from, keeps some, and cleans up. */
export async function useCache(
  cacheUrl = 'https://cache.example.com',
  packages: readonly string[] = ['nodejs', 'python3', 'go'],
  days = 30,
): Promise<number> {
  await NixCacheService.configureCacheForWorker('worker-123', {
    cacheUrl,
    enableLocalCache: true,
    enableSharedStore: true,
  });

  await NixCacheService.cacheCommonPackages('worker-123', packages);

  const stats = await NixCacheService.getCacheStatistics();
  console.log(`Cache size: ${stats.cacheSizeMb} MB`);
  console.log(`Hit rate: ${stats.hitRate}%`);

  const deletedCount = await NixCacheService.cleanupOldPackages(days);
  console.log(`Deleted ${deletedCount} old packages`);
  return deletedCount;
}

// `node examples/library.ts` builds the expression and releases it.
if (import.meta.main) {
  const { nixResultPath, buildId } = await buildFromExpression();
  if (nixResultPath !== undefined) await releaseResult(nixResultPath, buildId);
}
