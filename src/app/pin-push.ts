/** Keeps an image for as long as it waits to be pushed. */
import type { OciDigest, RepositoryName } from '../base/brand.ts';
import type { Catalog } from '../catalog/catalog.ts';

interface WaitingPush {
  readonly repository: RepositoryName;
  readonly digest: OciDigest;
  readonly destination: string;
}

export async function pinPush(catalog: Catalog, push: WaitingPush): Promise<void> {
  await catalog.pin(push.repository, push.digest, reason(push));
}

/** Does nothing where the image is gone. */
export async function unpinPush(catalog: Catalog, push: WaitingPush): Promise<void> {
  if ((await catalog.resolve(push.repository, push.digest)) === undefined) return;
  await catalog.unpin(push.repository, push.digest, reason(push));
}

function reason(push: WaitingPush): string {
  return `waits to be pushed to ${push.destination}`;
}
