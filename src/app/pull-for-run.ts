/** An image of the embedded registry made ready to run on this machine. */
import type { KilnApi } from '../api/kiln-api.ts';
import { KilnError } from '../base/error.ts';
import { contentOf, programOf } from '../image/image-program.ts';
import { parseImageConfig, type ImageConfig } from '../oci/image-config.ts';
import { parseReference } from '../oci/reference.ts';
import type { BundleContent } from '../runtime/container-bundle.ts';
import type { OciRuntime } from '../runtime/oci-runtime.ts';
import type { ContainerProcess } from '../runtime/runtime-spec.ts';
import { openKiln, type Environment } from './open-kiln.ts';

export interface RunnableImage {
  readonly config: ImageConfig;
  readonly program: ContainerProcess;
  readonly content: BundleContent;
  readonly runtime: OciRuntime;
}

/** @throws KilnError not-found, tool-missing */
export async function pullForRun(
  env: Environment,
  signal: AbortSignal,
  api: KilnApi,
  reference: string,
  args: readonly string[],
): Promise<RunnableImage> {
  const details = await api.getImage(reference);
  await using kiln = await openKiln({ env, signal, onNotice: () => undefined });
  const catalog = await kiln.catalog();
  const image = await catalog.imageDetails(parseReference(details.reference).repository, details.digest);
  if (image === undefined)
    throw new KilnError('not-found', `${reference} is not in the registry of this machine`);
  const config =
    details.config === undefined ? parseImageConfig(image.manifest) : (details.config as ImageConfig);
  const layers = image.layerList.flatMap(({ recipe }) => (recipe === undefined ? [] : [{ recipe }]));
  if (layers.length !== image.layerList.length) {
    throw new KilnError(
      'image-failed',
      `${reference} was not made here: its layers are not in the Nix store`,
      {
        hint: 'Run it with Docker or Podman.',
      },
    );
  }
  return {
    config,
    program: programOf(config.config, args),
    content: contentOf(layers),
    runtime: await kiln.runtime(),
  };
}
