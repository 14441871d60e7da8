/** Images of the embedded registry by the names that people give them. */
import type { RepositoryName } from '../base/brand.ts';
import { KilnError } from '../base/error.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { ImageDetails as StoredImage } from '../catalog/image-details.ts';
import { type ImageConfig, parseImageConfig } from '../oci/image-config.ts';
import { parseReference } from '../oci/reference.ts';

export interface OwnReference {
  readonly repository: RepositoryName;
  readonly tagOrDigest: string;
  /** With the host, as clients know it. */
  readonly shown: string;
}

/** @param host of the embedded registry. @throws KilnError invalid-name for an image of another one */
export function ownReference(reference: string, host: string): OwnReference {
  const parsed = parseReference(reference);
  if (parsed.host !== undefined && parsed.host !== host) {
    throw new KilnError('invalid-name', `${reference} is not in this registry (${host})`, {
      hint: 'Leave the host out: `kiln images` lists what is here.',
    });
  }
  const tagOrDigest = parsed.digest ?? parsed.tag ?? 'latest';
  const separator = parsed.digest === undefined ? ':' : '@';
  return {
    repository: parsed.repository,
    tagOrDigest,
    shown: `${host}/${parsed.repository}${separator}${tagOrDigest}`,
  };
}

/** @throws KilnError not-found */
export async function storedImage(catalog: Catalog, reference: OwnReference): Promise<StoredImage> {
  const details = await catalog.imageDetails(reference.repository, reference.tagOrDigest);
  if (details !== undefined) return details;
  throw new KilnError('not-found', `there is no image ${reference.shown}`, {
    hint: '`kiln images` lists what is here.',
  });
}

/** Undefined for an index. */
export async function storedConfig(catalog: Catalog, details: StoredImage): Promise<ImageConfig | undefined> {
  const bytes = await configBytes(catalog, details);
  return bytes === undefined ? undefined : parseImageConfig(bytes);
}

/** Undefined for an index. */
export async function configBytes(catalog: Catalog, details: StoredImage): Promise<Buffer | undefined> {
  const digest = details.config?.digest;
  const blob = digest === undefined ? undefined : await catalog.findBlob(details.repository, digest);
  if (blob === undefined) return undefined;
  return Buffer.concat(await Array.fromAsync(catalog.readBlob(blob, { start: 0, end: blob.size })));
}

export function severalPlatforms(shown: string): KilnError {
  return new KilnError('image-failed', `${shown} is not one image but several`, {
    hint: 'Name one of them by its digest: `kiln image REF` lists them.',
  });
}
