/** Image manifests (image-spec manifest.md), and the choice between manifest and index. */
import type { OciDigest } from '../base/brand.ts';
import { canonicalJson, type Json } from '../base/canonical-json.ts';
import { KilnError } from '../base/error.ts';
import { checkMediaType, type Descriptor, parseDescriptor } from './descriptor.ts';
import { digestOf } from './digest.ts';
import { type ImageIndex, readIndex } from './image-index.ts';
import { checkArray, checkStringMap, type JsonObject, parseJsonObject } from './json-checks.ts';
import { isImageManifestType, isIndexType, OCI_INDEX, OCI_MANIFEST } from './media-types.ts';

/** distribution-spec: a registry must take at least 4 MiB; more is answered with 413. */
export const MANIFEST_LIMIT = 4 * 1024 * 1024;

export interface ImageManifest {
  readonly kind: 'manifest';
  readonly mediaType: string;
  readonly artifactType?: string;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly subject?: Descriptor;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** A manifest or index together with the bytes it was read from, which alone decide its digest. */
export interface ParsedManifest {
  readonly bytes: Buffer;
  readonly digest: OciDigest;
  readonly content: ImageManifest | ImageIndex;
}

/**
 * Reads a manifest or index. `declaredType` is the `Content-Type` it came with; the type inside must not differ.
 * @throws KilnError too-large, invalid-input
 */
export function parseManifest(bytes: Uint8Array, declaredType?: string): ParsedManifest {
  const object = parseJsonObject(bytes, 'The manifest', MANIFEST_LIMIT);
  const mediaType = manifestType(object, declaredType);
  const content = isIndexType(mediaType) ? readIndex(object, mediaType) : readManifest(object, mediaType);
  const kept = Buffer.from(bytes);
  return { bytes: kept, digest: digestOf(kept), content };
}

/** The canonical bytes of a manifest that Kiln writes. */
export function encodeManifest(manifest: Omit<ImageManifest, 'kind'>): Buffer {
  const { mediaType, artifactType, config, layers, subject, annotations } = manifest;
  const json = { schemaVersion: 2, mediaType, artifactType, config, layers, subject, annotations };
  return Buffer.from(canonicalJson(json as unknown as Json));
}

function readManifest(object: JsonObject, mediaType: string): ImageManifest {
  const annotations = checkStringMap(object['annotations'], 'annotations');
  const artifactType = object['artifactType'];
  return {
    kind: 'manifest',
    mediaType,
    ...(artifactType === undefined ? {} : { artifactType: checkMediaType(artifactType, 'artifactType') }),
    config: parseDescriptor(object['config'], 'config'),
    layers: checkArray(object['layers'], 'layers').map((layer, at) =>
      parseDescriptor(layer, `layers[${at}]`),
    ),
    ...(object['subject'] === undefined ? {} : { subject: parseDescriptor(object['subject'], 'subject') }),
    ...(annotations === undefined ? {} : { annotations }),
  };
}

/** The type said inside wins, then the declared one, then the shape; a contradiction is refused. */
function manifestType(object: JsonObject, declaredType: string | undefined): string {
  if (object['schemaVersion'] !== 2) {
    throw new KilnError('invalid-input', 'The manifest must have "schemaVersion": 2', {
      hint: 'Docker schema 1 manifests are not taken; push with a client newer than 2017.',
    });
  }
  const declared = declaredType?.split(';')[0]?.trim();
  const inside =
    object['mediaType'] === undefined ? undefined : checkMediaType(object['mediaType'], 'mediaType');
  if (inside !== undefined && declared !== undefined && inside !== declared) {
    throw new KilnError('invalid-input', `The manifest says it is ${inside} but was sent as ${declared}`);
  }
  const type = inside ?? declared ?? ('manifests' in object ? OCI_INDEX : OCI_MANIFEST);
  if (!isIndexType(type) && !isImageManifestType(type)) {
    throw new KilnError('invalid-input', `${type} is not the type of a manifest or index`);
  }
  // A document that is both can be read differently by two clients (CVE-2021-41190).
  if ('manifests' in object && ('layers' in object || 'config' in object)) {
    throw new KilnError('invalid-input', 'The document is a manifest and an index at once');
  }
  return type;
}
