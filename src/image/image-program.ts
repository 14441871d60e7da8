/** What an image runs and shows, read from its configuration and its recipes. */
import type { OciDigest } from '../base/brand.ts';
import { KilnError } from '../base/error.ts';
import { parseDuration } from '../base/units.ts';
import type { AppSettings } from '../config/app-settings.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { RunConfig } from '../oci/image-config.ts';
import type { Layer, LiteralEntry, StoreEntry, LayerRecipe } from '../oci/layer-recipe.ts';
import { layerCompression, OCI_LAYER_TAR } from '../oci/media-types.ts';
import type { BundleContent } from '../runtime/container-bundle.ts';
import type { ContainerProcess } from '../runtime/runtime-spec.ts';
import { unpackLayer } from '../runtime/unpack-layer.ts';
import type { StartExpectation } from './start-check.ts';

const DEFAULT_TIMEOUT_MS = 30_000;

export function programOf(config: RunConfig, args?: readonly string[]): ContainerProcess {
  const [uid = 0, gid = uid] = (config.User ?? '0').split(':').map(Number);
  const given = args !== undefined && args.length > 0 ? args : (config.Cmd ?? []);
  const program = [...(config.Entrypoint ?? []), ...given];
  if (program.length === 0) {
    throw new KilnError('image-failed', 'the image names no program to run', {
      hint: 'Set image.entrypoint in kiln.toml.',
    });
  }
  return { args: program, env: config.Env ?? [], cwd: config.WorkingDir || '/', uid, gid };
}

export interface LayerBlobs {
  /** Layers of a base image, lowest first. */
  readonly below: readonly Descriptor[];
  readonly blobOf: (digest: OciDigest) => AsyncIterable<Buffer>;
}

/**
 * Store paths are shown as they lie in the store. Layers of a base image, and those whose files have other modes than in the
 * store, are unpacked; without `blobs` modes are left as they are in the store.
 */
export function contentOf(
  layers: readonly Pick<Layer, 'digest' | 'recipe'>[],
  blobs: LayerBlobs | undefined,
): BundleContent {
  const onBase = blobs !== undefined && blobs.below.length > 0;
  const unpacked = layers.filter(
    ({ recipe }) =>
      blobs !== undefined &&
      (recipe.entries.some((entry) => entry.type === 'store-path' && hasModes(entry)) ||
        (onBase && recipe.entries.some((entry) => entry.type !== 'store-path'))),
  );
  const entries = layers.flatMap((layer) => (unpacked.includes(layer) ? [] : layer.recipe.entries));
  const below = [
    ...(blobs?.below ?? []),
    ...unpacked.map(({ digest }) => ({ mediaType: OCI_LAYER_TAR, digest })),
  ];
  const own = unpacked
    .flatMap((layer) => layer.recipe.entries)
    .filter((entry): entry is LiteralEntry => entry.type !== 'store-path');
  return {
    literals: entries.filter((entry): entry is LiteralEntry => entry.type !== 'store-path'),
    storePaths: entries.flatMap((entry) => (entry.type === 'store-path' ? [entry.path] : [])),
    ...(own.length === 0 ? {} : { unpacked: onBase ? [TEMPORARY, ...own] : own }),
    fill: async (root) => {
      for (const { digest, mediaType } of below) {
        const compression = layerCompression(mediaType);
        if (compression === undefined || blobs === undefined)
          throw new KilnError('image-failed', `layers of the type ${mediaType} cannot be unpacked`);
        await unpackLayer(root, { bytes: blobs.blobOf(digest), compression, name: digest });
      }
    },
  };
}

/** Base images have one, though the layers on top do not say so. */
const TEMPORARY: LiteralEntry = { type: 'directory', path: '/tmp', mode: 0o1777, uid: 0, gid: 0 };

/** What the recipes consist of, where all of it can be shown as it lies in the store; undefined where files have modes of their own. */
export function storeContent(recipes: readonly LayerRecipe[]): BundleContent | undefined {
  const entries = recipes.flatMap((recipe) => recipe.entries);
  if (entries.some((entry) => entry.type === 'store-path' && hasModes(entry))) return undefined;
  return {
    literals: entries.filter((entry): entry is LiteralEntry => entry.type !== 'store-path'),
    storePaths: entries.flatMap((entry) => (entry.type === 'store-path' ? [entry.path] : [])),
  };
}

function hasModes(entry: StoreEntry): boolean {
  return entry.attributes?.some((attribute) => attribute.mode !== undefined) === true;
}

/** What counts as started, from `[health]` and the ports, and how long it may take. */
export function expectationOf(
  health: AppSettings['health'],
  ports: readonly number[],
): { readonly expectation: StartExpectation; readonly timeoutMs: number } {
  const timeoutMs = health?.timeout === undefined ? DEFAULT_TIMEOUT_MS : parseDuration(health.timeout);
  const port = health?.port ?? ports[0];
  if (health?.exit === true) return { expectation: { kind: 'exit' }, timeoutMs };
  if (port === undefined) {
    if (health?.http !== undefined || health?.tcp === true) {
      throw new KilnError('invalid-config', '[health] asks for a probe, but no port is known', {
        where: 'kiln.toml: health',
        hint: 'Set health.port, or image.ports.',
      });
    }
    return { expectation: { kind: 'alive' }, timeoutMs };
  }
  if (health?.http !== undefined)
    return { expectation: { kind: 'http', port, path: health.http }, timeoutMs };
  return { expectation: { kind: 'tcp', port }, timeoutMs };
}

/** Port numbers of `ExposedPorts`, ascending. */
export function portsOf(config: RunConfig): number[] {
  return Object.keys(config.ExposedPorts ?? {})
    .map((key) => Number(key.split('/')[0]))
    .sort((a, b) => a - b);
}
