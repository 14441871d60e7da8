/** Pushes images of the embedded registry to others. */
import type { RepositoryName } from '../base/brand.ts';
import { dropPendingPush, type PendingPush } from '../catalog/pending-pushes.ts';
import { parseReference } from '../oci/reference.ts';
import type { RegistryClient } from '../registry/registry-client.ts';
import type { RetryPolicy } from '../registry/client-retry.ts';
import type { Kiln } from './open-kiln.ts';
import { unpinPush } from './pin-push.ts';

export interface PushFromCatalogOptions {
  readonly signal: AbortSignal;
  /** The push is itself one that waited. */
  readonly waiting?: PendingPush;
  readonly retry?: RetryPolicy;
}

/** A registry that is away for longer gets the image later. Milliseconds. */
const NOW: RetryPolicy = { baseMs: 1000, capMs: 30_000, totalMs: 120_000 };
/** Many may wait for the same registry, and their turn comes again. */
const WAITED: RetryPolicy = { baseMs: 1000, capMs: 10_000, totalMs: 20_000 };

/**
 * Pushes an image of the embedded registry, after which nothing older waits for the same destination.
 * @throws KilnError registry-failed, unreachable, unauthorized, invalid-name
 */
export async function pushFromCatalog(
  kiln: Kiln,
  repository: RepositoryName,
  reference: string,
  destination: string,
  { signal, waiting, retry = waiting === undefined ? NOW : WAITED }: PushFromCatalogOptions,
): Promise<{ readonly digest: string; readonly uploadedBytes: number }> {
  const [client, { pushImage }, { catalogSource }, { databasePushMemory }] = await Promise.all([
    registryClient(kiln, retry),
    import('../registry/client-push.ts'),
    import('../registry/image-source.ts'),
    import('../registry/push-memory.ts'),
  ]);
  const target = parseReference(destination);
  const result = await pushImage({
    source: catalogSource(await kiln.catalog(), repository, reference),
    target: client.repository(target.host ?? 'docker.io', target.repository),
    tags: [target.tag ?? 'latest'],
    memory: databasePushMemory(await kiln.db()),
    signal,
  });
  const older = waiting === undefined ? await dropPendingPush(await kiln.db(), destination) : undefined;
  if (older !== undefined) await unpinPush(await kiln.catalog(), older);
  return { digest: result.digest, uploadedBytes: result.bytesSent };
}

/** A client with the credentials of this installation. */
export async function registryClient(kiln: Kiln, retry?: RetryPolicy): Promise<RegistryClient> {
  const [{ RegistryClient: Client }, { dockerCredentials }] = await Promise.all([
    import('../registry/registry-client.ts'),
    import('../registry/docker-credentials.ts'),
  ]);
  return new Client({
    ...(retry === undefined ? {} : { retry }),
    credentials: dockerCredentials(withRegistrySettings(kiln)),
  });
}

/** The settings' user and password for the configured registry, in the form in which the environment gives them. */
function withRegistrySettings(kiln: Kiln): NodeJS.ProcessEnv {
  const { url, username, password } = kiln.settings.registry;
  if (url === undefined || username === undefined || password === undefined) return { ...kiln.env };
  return {
    ...kiln.env,
    DOCKER_REGISTRY_URL: url,
    DOCKER_REGISTRY_USERNAME: username,
    DOCKER_REGISTRY_PASSWORD: password.reveal(),
  };
}
