/** Image indexes (image-spec image-index.md): one manifest per platform, or a list of referrers. */
import { canonicalJson, type Json } from '../base/canonical-json.ts';
import { checkMediaType, type Descriptor, parseDescriptor } from './descriptor.ts';
import { checkArray, checkStringMap, type JsonObject } from './json-checks.ts';
import { OCI_INDEX } from './media-types.ts';

export interface ImageIndex {
  readonly kind: 'index';
  readonly mediaType: string;
  readonly artifactType?: string;
  readonly manifests: readonly Descriptor[];
  readonly subject?: Descriptor;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Reads an index from parsed JSON whose type is known. @throws KilnError invalid-input */
export function readIndex(object: JsonObject, mediaType: string): ImageIndex {
  const annotations = checkStringMap(object['annotations'], 'annotations');
  const artifactType = object['artifactType'];
  return {
    kind: 'index',
    mediaType,
    ...(artifactType === undefined ? {} : { artifactType: checkMediaType(artifactType, 'artifactType') }),
    manifests: checkArray(object['manifests'], 'manifests').map((item, at) =>
      parseDescriptor(item, `manifests[${at}]`),
    ),
    ...(object['subject'] === undefined ? {} : { subject: parseDescriptor(object['subject'], 'subject') }),
    ...(annotations === undefined ? {} : { annotations }),
  };
}

/** The canonical bytes of an index that Kiln writes. */
export function encodeIndex(index: Omit<ImageIndex, 'kind' | 'mediaType'>): Buffer {
  const { artifactType, manifests, subject, annotations } = index;
  const json = { schemaVersion: 2, mediaType: OCI_INDEX, artifactType, manifests, subject, annotations };
  return Buffer.from(canonicalJson(json as unknown as Json));
}
