/** The configuration of an image: what runs, as whom, with which environment. */
import type { StorePath } from '../base/brand.ts';
import type { ImageConfig, RunConfig } from '../oci/image-config.ts';
import type { Layer } from '../oci/layer-recipe.ts';
import { nameOf } from '../store/store-path.ts';
import { imagePlatform } from './image-platform.ts';
import type { ImageSettings } from './image-settings.ts';
import type { ImageUser } from './image-user.ts';

export interface RunConfigInput {
  readonly roots: readonly StorePath[];
  readonly entryPoint: readonly string[];
  readonly settings: ImageSettings;
  readonly user: ImageUser;
  /** From the root file system, see `root-filesystem.ts`. */
  readonly foundEnv: Readonly<Record<string, string>>;
  readonly environmentVars: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** The configuration of the base image, whose variables and labels stay unless set here. */
  readonly base?: RunConfig;
}

export function runConfigFrom(input: RunConfigInput): RunConfig {
  const { settings, user, base } = input;
  const env = {
    ...readEnv(base?.Env ?? []),
    PATH: [...input.roots.map((root) => `${root}/bin`), ...basePath(base)].join(':'),
    HOME: user.home,
    LANG: 'C.UTF-8',
    ...input.foundEnv,
    ...input.environmentVars,
    ...settings.env,
  };
  const ports = settings.ports ?? [];
  const labels = { ...base?.Labels, ...input.labels, ...settings.labels };
  return {
    User: `${user.uid}:${user.gid}`,
    ...(ports.length === 0
      ? {}
      : { ExposedPorts: Object.fromEntries(ports.map((port) => [`${port}/tcp`, {}])) }),
    Env: Object.entries(env)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, value]) => `${name}=${value}`),
    Entrypoint: input.entryPoint,
    ...(settings.cmd === undefined ? {} : { Cmd: settings.cmd }),
    WorkingDir: settings.workdir ?? '/',
    ...(Object.keys(labels).length === 0 ? {} : { Labels: labels }),
    StopSignal: 'SIGTERM',
  };
}

export interface ImageConfigInput {
  readonly system: string;
  /** Seconds since the Unix epoch. */
  readonly created: number;
  readonly config: RunConfig;
  readonly layers: readonly Layer[];
  readonly base?: ImageConfig;
}

export function imageConfigFrom(input: ImageConfigInput): ImageConfig {
  const platform = imagePlatform(input.system);
  const created = rfc3339(input.created);
  return {
    created,
    architecture: platform.architecture,
    ...(platform.variant === undefined ? {} : { variant: platform.variant }),
    os: platform.os,
    config: input.config,
    diffIds: [...(input.base?.diffIds ?? []), ...input.layers.map((layer) => layer.digest)],
    history: [
      ...(input.base?.history ?? []),
      ...input.layers.map((layer) => ({ created, created_by: 'kiln', comment: describeLayer(layer) })),
    ],
  };
}

export function rfc3339(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('.000Z', 'Z');
}

/** Names of the largest paths, as `docker history` shows them. */
function describeLayer(layer: Layer): string {
  const paths = layer.recipe.entries.filter((entry) => entry.type === 'store-path');
  if (paths.length === 0) return 'root file system';
  const names = [...paths]
    .sort((a, b) => b.narSize - a.narSize || (a.path < b.path ? -1 : 1))
    .slice(0, 5)
    .map((entry) => nameOf(entry.path));
  const more = paths.length - names.length;
  return `${names.join(' ')}${more > 0 ? ` and ${more} more` : ''}`;
}

function basePath(base: RunConfig | undefined): string[] {
  const path = readEnv(base?.Env ?? [])['PATH'];
  return path === undefined ? ['/usr/bin', '/bin'] : [path];
}

function readEnv(lines: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    lines.map((line) => {
      const at = line.indexOf('=');
      return at === -1 ? [line, ''] : [line.slice(0, at), line.slice(at + 1)];
    }),
  );
}
