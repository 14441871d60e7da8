/** All that is known of an image of the embedded registry. */
import type { ImageDetails } from '../api/kiln-api.ts';
import type { OciDigest } from '../base/brand.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { ImageDetails as StoredImage } from '../catalog/image-details.ts';
import type { Finding } from '../image/finding.ts';
import { inspectImage } from '../image/inspect-image.ts';
import type { StartCheckResult } from '../image/start-check.ts';
import { parseManifest } from '../oci/manifest.ts';
import { LAYER_PLAN, PREFLIGHT, type RecordedPlan, START_CHECK } from '../pipeline/make-image.ts';
import type { Closure } from '../store/closure.ts';
import type { Kiln } from './open-kiln.ts';
import { ownReference, storedConfig, storedImage } from './stored-image.ts';

/** @param host of the embedded registry. @throws KilnError not-found, invalid-name */
export async function inspectStoredImage(kiln: Kiln, host: string, reference: string): Promise<ImageDetails> {
  const catalog = await kiln.catalog();
  const own = ownReference(reference, host);
  const details = await storedImage(catalog, own);
  const previous = await previousRelease(catalog, details, own.tagOrDigest);
  const { results } = details;
  const plan = results[LAYER_PLAN] as RecordedPlan | undefined;
  const inspection = inspectImage(
    details.layerList,
    previous?.layerList,
    plan === undefined ? undefined : await closureOf(kiln, plan),
  );
  const members = await Promise.all(details.children.map((digest) => memberOf(catalog, details, digest)));
  const buildId = details.tags.find((tag) => tag.startsWith('build-'));
  return {
    reference: own.shown,
    digest: details.digest,
    size: details.size,
    tags: details.tags,
    pushedAt: details.pushedAt.toISOString(),
    ...inspection,
    config: await storedConfig(catalog, details),
    ...(previous === undefined ? {} : { previous: { digest: previous.digest, size: previous.size } }),
    ...(plan === undefined ? {} : { plan: { kind: plan.kind, digest: plan.digest } }),
    findings: (results[PREFLIGHT] as readonly Finding[] | undefined) ?? [],
    startChecks: results[START_CHECK] as readonly StartCheckResult[] | undefined,
    ...(members.length === 0 ? {} : { members }),
    ...(buildId === undefined ? {} : { buildId }),
  };
}

/** The image that the tag named before, else the newest release of the repository before this one. */
async function previousRelease(
  catalog: Catalog,
  details: StoredImage,
  tagOrDigest: string,
): Promise<StoredImage | undefined> {
  const moves = await catalog.tagHistory(details.repository, undefined, 1000);
  const own = moves.filter((move) => move.digest === details.digest);
  const named = own.filter((move) => move.name === tagOrDigest);
  const candidates = [...named, ...own].map((move) => move.previousDigest);
  const first = own.at(-1);
  const older = moves.filter((move) => first !== undefined && move.movedAt < first.movedAt);
  for (const digest of [...candidates, ...older.map((move) => move.digest)]) {
    if (digest === undefined || digest === details.digest) continue;
    const found = await catalog.imageDetails(details.repository, digest);
    if (found !== undefined) return found;
  }
  return undefined;
}

async function closureOf(kiln: Kiln, plan: RecordedPlan): Promise<Closure | undefined> {
  try {
    return await (await kiln.store()).closure(plan.roots);
  } catch {
    return undefined; // of a store that lost them, or another machine's: everything else is still known
  }
}

async function memberOf(
  catalog: Catalog,
  index: StoredImage,
  digest: OciDigest,
): Promise<{ readonly digest: string; readonly platform: string; readonly size: number }> {
  const { content } = parseManifest(index.manifest, index.mediaType);
  const entry = content.kind === 'index' ? content.manifests.find((one) => one.digest === digest) : undefined;
  const details = await catalog.imageDetails(index.repository, digest);
  const { os, architecture, variant } = entry?.platform ?? { os: 'unknown', architecture: 'unknown' };
  const platform = [os, architecture, variant].filter(Boolean).join('/');
  return { digest, platform, size: details?.size ?? 0 };
}
