/** An image of the registry made ready to run on this machine, straight from its Nix store. */
import { join } from 'node:path';
import type { RunnableImage } from '../api/kiln-api.ts';
import type { OciDigest } from '../base/brand.ts';
import { KilnError } from '../base/error.ts';
import { contentOf, programOf } from '../image/image-program.ts';
import type { ImageConfig } from '../oci/image-config.ts';
import type { BundleContent } from '../runtime/container-bundle.ts';
import type { OciRuntime } from '../runtime/oci-runtime.ts';
import type { ContainerProcess } from '../runtime/runtime-spec.ts';
import { kilnHome, type Environment } from '../setup/kiln-home.ts';
import { ensureWorkingRuntime } from '../setup/working-runtime.ts';

export interface PreparedRun {
  readonly config: ImageConfig;
  readonly program: ContainerProcess;
  readonly content: BundleContent;
  readonly runtime: OciRuntime;
}

/** @throws KilnError image-failed for images that were not made here, tool-missing */
export async function prepareRun(
  env: Environment,
  signal: AbortSignal,
  image: RunnableImage,
  args: readonly string[],
): Promise<PreparedRun> {
  const layers = image.layers.flatMap(({ digest, recipe }) =>
    recipe === undefined ? [] : [{ digest: digest as OciDigest, recipe }],
  );
  if (layers.length !== image.layers.length) {
    throw new KilnError(
      'image-failed',
      `${image.reference} was not made here: its layers are not in the Nix store`,
      {
        hint: 'Run it with Docker or Podman.',
      },
    );
  }
  return {
    config: image.config,
    program: programOf(image.config.config, args),
    content: contentOf(layers, undefined),
    runtime: await ensureWorkingRuntime({ env, signal }, join(kilnHome(env), 'runtime')),
  };
}
