/** Image configurations (image-spec config.md). */
import type { OciDigest } from '../base/brand.ts';
import { canonicalJson, type Json } from '../base/canonical-json.ts';
import { KilnError } from '../base/error.ts';
import { isDigest } from './digest.ts';
import {
  checkArray,
  checkObject,
  checkOptionalString,
  checkString,
  checkStringList,
  checkStringMap,
  type JsonObject,
  parseJsonObject,
} from './json-checks.ts';

/** How the image is run. Docker's field names, as the specification has them. */
export interface RunConfig {
  readonly User?: string;
  /** Keys `8080/tcp`. */
  readonly ExposedPorts?: Readonly<Record<string, Record<string, never>>>;
  /** `NAME=value` each. */
  readonly Env?: readonly string[];
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly WorkingDir?: string;
  readonly Labels?: Readonly<Record<string, string>>;
  readonly StopSignal?: string;
}

export interface ImageHistory {
  readonly created?: string;
  readonly created_by?: string;
  readonly comment?: string;
  readonly empty_layer?: boolean;
}

export interface ImageConfig {
  /** RFC 3339. */
  readonly created?: string;
  /** `GOARCH` name. */
  readonly architecture: string;
  readonly variant?: string;
  readonly os: string;
  readonly config: RunConfig;
  /** One per layer, lowest first. */
  readonly diffIds: readonly OciDigest[];
  readonly history: readonly ImageHistory[];
}

const CONFIG_LIMIT = 4 * 1024 * 1024;

/** The canonical bytes of a configuration. */
export function encodeImageConfig(image: ImageConfig): Buffer {
  const { created, architecture, variant, os, config, diffIds, history } = image;
  const json = {
    created,
    architecture,
    variant,
    os,
    config,
    rootfs: { type: 'layers', diff_ids: diffIds },
    history,
  };
  return Buffer.from(canonicalJson(json as unknown as Json));
}

/** Reads a configuration. Fields that Kiln has no use for are dropped. @throws KilnError too-large, invalid-input */
export function parseImageConfig(bytes: Uint8Array): ImageConfig {
  const object = parseJsonObject(bytes, 'The image configuration', CONFIG_LIMIT);
  const rootfs = checkObject(object['rootfs'], 'rootfs');
  const diffIds = checkArray(rootfs['diff_ids'] ?? [], 'rootfs.diff_ids').map((value, at) => {
    const digest = checkString(value, `rootfs.diff_ids[${at}]`);
    if (!isDigest(digest)) throw new KilnError('invalid-input', `rootfs.diff_ids[${at}] is not a digest`);
    return digest;
  });
  const created = checkOptionalString(object['created'], 'created');
  const variant = checkOptionalString(object['variant'], 'variant');
  return {
    ...(created === undefined ? {} : { created }),
    architecture: checkString(object['architecture'], 'architecture'),
    ...(variant === undefined ? {} : { variant }),
    os: checkString(object['os'], 'os'),
    config: readRunConfig(checkObject(object['config'] ?? {}, 'config')),
    diffIds,
    history: checkArray(object['history'] ?? [], 'history').map((item, at) =>
      readHistory(item, `history[${at}]`),
    ),
  };
}

function readHistory(value: unknown, field: string): ImageHistory {
  const object = checkObject(value, field);
  const text = (name: 'created' | 'created_by' | 'comment'): Partial<Record<typeof name, string>> => {
    const found = checkOptionalString(object[name], `${field}.${name}`);
    return found === undefined ? {} : { [name]: found };
  };
  return {
    ...text('created'),
    ...text('created_by'),
    ...text('comment'),
    ...(object['empty_layer'] === true ? { empty_layer: true } : {}),
  };
}

function readRunConfig(object: JsonObject): RunConfig {
  const ports = object['ExposedPorts'] ?? undefined;
  const fields = {
    User: checkOptionalString(object['User'], 'config.User'),
    ExposedPorts:
      ports === undefined
        ? undefined
        : Object.fromEntries(
            Object.keys(checkObject(ports, 'config.ExposedPorts')).map((port) => [port, {}]),
          ),
    Env: checkStringList(object['Env'], 'config.Env'),
    Entrypoint: checkStringList(object['Entrypoint'], 'config.Entrypoint'),
    Cmd: checkStringList(object['Cmd'], 'config.Cmd'),
    WorkingDir: checkOptionalString(object['WorkingDir'], 'config.WorkingDir'),
    Labels: checkStringMap(object['Labels'], 'config.Labels'),
    StopSignal: checkOptionalString(object['StopSignal'], 'config.StopSignal'),
  };
  return Object.fromEntries(Object.entries(fields).filter(([, field]) => field !== undefined)) as RunConfig;
}
