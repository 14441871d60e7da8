/** Build records as views. */
import type { Catalog } from '../catalog/catalog.ts';
import type { BuildState } from '../build/watch-build.ts';
import type { BuildStep } from '../build/build-record.ts';
import { STEP_NAMES } from '../build/build-record.ts';
import type { LogLine } from '../build/log-line.ts';
import type { StartCheckResult } from '../image/start-check.ts';
import { parseReference } from '../oci/reference.ts';
import { START_CHECK, storePathsOf } from './make-image.ts';
import type { BuildView, ImageView, LogLineView, StepView } from './build-view.ts';

/** @param catalog adds the image's layers and checks; lists leave it out */
export async function viewBuild(state: BuildState, catalog?: Catalog): Promise<BuildView> {
  const { build, steps, place } = state;
  const source = build.source;
  const image = await viewImage(build.imageReference, build.imageDigest, build.imageSize, catalog);
  const template = build.details['template'];
  return {
    id: build.id,
    serviceId: build.serviceId,
    status: build.status,
    attempt: build.attempt,
    ...(build.reason === undefined ? {} : { reason: build.reason }),
    source: {
      kind: source.kind,
      ...(source.kind === 'git' ? { url: source.url } : {}),
      ...(source.kind === 'flake' ? { url: source.reference } : {}),
      ...('path' in source ? { url: source.path } : {}),
      ...(build.commitSha === undefined ? {} : { commit: build.commitSha }),
      ...(build.branch === undefined ? {} : { branch: build.branch }),
      ...(typeof template === 'string' ? { template } : {}),
    },
    ...(build.drvPath === undefined ? {} : { drvPath: build.drvPath }),
    outPaths: build.outPaths,
    ...(image === undefined ? {} : image),
    steps: viewSteps(steps),
    ...(place === undefined ? {} : { queue: { position: place.position, reason: place.reason } }),
    createdAt: build.createdAt.toISOString(),
    ...(build.startedAt === undefined ? {} : { startedAt: build.startedAt.toISOString() }),
    ...(build.endedAt === undefined ? {} : { endedAt: build.endedAt.toISOString() }),
    ...(build.durationMs === undefined ? {} : { durationMs: build.durationMs }),
  };
}

export function viewSteps(steps: readonly BuildStep[]): StepView[] {
  const byName = new Map(steps.map((step) => [step.name, step]));
  return STEP_NAMES.map((name) => {
    const step = byName.get(name);
    return step === undefined ? { name, status: 'pending' } : viewStep(step);
  });
}

function viewStep(step: BuildStep): StepView {
  return {
    name: step.name,
    status: step.status,
    ...(step.detail === undefined ? {} : { detail: step.detail }),
    ...(step.startedAt === undefined ? {} : { startedAt: step.startedAt.toISOString() }),
    ...(step.durationMs === undefined ? {} : { durationMs: step.durationMs }),
    ...(step.reused ? { reused: true } : {}),
  };
}

export function viewLine(line: LogLine): LogLineView {
  return { ...line, at: new Date(line.at).toISOString() };
}

async function viewImage(
  reference: string | undefined,
  digest: string | undefined,
  size: number | undefined,
  catalog: Catalog | undefined,
): Promise<{ readonly image: ImageView; readonly startChecks?: readonly StartCheckResult[] } | undefined> {
  if (reference === undefined || digest === undefined) return undefined;
  const base = { reference, digest, size: size ?? 0 };
  const details = await catalog?.imageDetails(parseReference(reference).repository, digest);
  if (details === undefined) return { image: { ...base, layers: [] } };
  const checks = details.results[START_CHECK];
  return {
    image: {
      ...base,
      layers: details.layerList.map((layer) => ({
        digest: layer.digest,
        size: layer.size,
        paths: layer.recipe === undefined ? [] : storePathsOf({ ...layer, recipe: layer.recipe }),
      })),
    },
    ...(Array.isArray(checks) ? { startChecks: checks as StartCheckResult[] } : {}),
  };
}
