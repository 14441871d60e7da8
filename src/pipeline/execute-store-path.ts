/** A build whose result is in the store already: nothing is fetched, evaluated or built, its image is made and pushed. */
import type { BuildContext } from '../build/attempt-context.ts';
import type { BuildFacts, BuildRecord } from '../build/build-record.ts';
import { missingPath } from '../nix/store-database.ts';
import type { SourceSpec } from '../source/source.ts';
import { closureSize } from '../store/closure.ts';
import { nameOf, parseStorePath } from '../store/store-path.ts';
import { applicationSettings } from './application-settings.ts';
import { repositoryOf } from './image-name.ts';
import type { PipelineServices } from './pipeline-services.ts';
import { releaseImage } from './release-image.ts';
import { releaseSettingsSchema } from './release-settings.ts';

/** @throws KilnError store-path-missing, and what {@link releaseImage} throws */
export async function executeStorePath(
  services: PipelineServices,
  build: BuildRecord,
  source: Extract<SourceSpec, { kind: 'store-path' }>,
  context: BuildContext,
): Promise<BuildFacts> {
  const release = releaseSettingsSchema.parse(build.settings);
  await context.step('initiate', async (handle) => handle.detail(`${build.id} · ${build.slug}`));
  const path = await context.step('source', async (handle) => {
    const found = parseStorePath(source.path);
    if (!(await services.store.isValid(found))) throw missingPath(found);
    await services.roots.hold(`build-${build.id}`, found, context.signal);
    handle.detail(nameOf(found));
    return found;
  });
  await context.skipStep('dependencies', 'the result is given');
  await context.skipStep('build', 'the result is given');
  const [closure, info] = await Promise.all([services.store.closure([path]), services.store.pathInfo(path)]);
  const facts: BuildFacts = { outPaths: [path], artifactSize: closureSize(closure) };
  await context.record(facts);
  const settings = applicationSettings({}, release.application ?? {}, release.imageSettings);
  return await releaseImage(services, build, context, {
    closure,
    settings,
    repository: repositoryOf(release.name, settings.image?.name, source, nameOf(path)),
    ...(info?.deriver === undefined ? {} : { drvPath: info.deriver }),
    facts,
  });
}
