/** Content descriptors (image-spec descriptor.md). */
import type { OciDigest } from '../base/brand.ts';
import { KilnError } from '../base/error.ts';
import { isDigest } from './digest.ts';
import {
  checkObject,
  checkOptionalString,
  checkSize,
  checkString,
  checkStringList,
  checkStringMap,
} from './json-checks.ts';

export interface Platform {
  readonly architecture: string;
  readonly os: string;
  readonly variant?: string;
}

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: OciDigest;
  /** Bytes. */
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly artifactType?: string;
  readonly platform?: Platform;
  readonly urls?: readonly string[];
}

/** RFC 6838 section 4.2, with parameters left out: a media type as manifests carry it. */
const MEDIA_TYPE = /^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}\/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}$/;

/** @throws KilnError invalid-input, naming the field under `field` */
export function parseDescriptor(value: unknown, field: string): Descriptor {
  const object = checkObject(value, field);
  const mediaType = checkMediaType(object['mediaType'], `${field}.mediaType`);
  const digest = checkString(object['digest'], `${field}.digest`);
  if (!isDigest(digest)) {
    throw new KilnError('invalid-input', `${field}.digest is not a sha256 or sha512 digest`, {
      where: field,
    });
  }
  const annotations = checkStringMap(object['annotations'], `${field}.annotations`);
  const artifactType = checkOptionalString(object['artifactType'], `${field}.artifactType`);
  const urls = checkStringList(object['urls'], `${field}.urls`);
  return {
    mediaType,
    digest,
    size: checkSize(object['size'], `${field}.size`),
    ...(annotations === undefined ? {} : { annotations }),
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(object['platform'] === undefined
      ? {}
      : { platform: parsePlatform(object['platform'], `${field}.platform`) }),
    ...(urls === undefined ? {} : { urls }),
  };
}

export function checkMediaType(value: unknown, field: string): string {
  const text = checkString(value, field);
  if (!MEDIA_TYPE.test(text))
    throw new KilnError('invalid-input', `${field} is not a media type`, { where: field });
  return text;
}

function parsePlatform(value: unknown, field: string): Platform {
  const object = checkObject(value, field);
  const variant = checkOptionalString(object['variant'], `${field}.variant`);
  return {
    architecture: checkString(object['architecture'], `${field}.architecture`),
    os: checkString(object['os'], `${field}.os`),
    ...(variant === undefined ? {} : { variant }),
  };
}
