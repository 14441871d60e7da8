/** Pushes images of the embedded registry to others. */
import type { RepositoryName } from '../base/brand.ts';
import { dropPendingPush, type PendingPush } from '../catalog/pending-pushes.ts';
import { parseReference } from '../oci/reference.ts';
import type { Kiln } from './open-kiln.ts';
import { unpinPush } from './pin-push.ts';

/**
 * Pushes an image of the embedded registry. `waiting`: it is itself one that waited.
 * @throws KilnError registry-failed, unreachable, unauthorized, invalid-name
 */
export async function pushFromCatalog(
  kiln: Kiln,
  repository: RepositoryName,
  reference: string,
  destination: string,
  signal: AbortSignal,
  waiting?: PendingPush,
): Promise<{ readonly digest: string; readonly uploadedBytes: number }> {
  const [
    { RegistryClient },
    { pushImage },
    { catalogSource },
    { databasePushMemory },
    { dockerCredentials },
  ] = await Promise.all([
    import('../registry/registry-client.ts'),
    import('../registry/client-push.ts'),
    import('../registry/image-source.ts'),
    import('../registry/push-memory.ts'),
    import('../registry/docker-credentials.ts'),
  ]);
  const target = parseReference(destination);
  const client = new RegistryClient({ credentials: dockerCredentials(withRegistrySettings(kiln)) });
  const result = await pushImage({
    source: catalogSource(await kiln.catalog(), repository, reference),
    target: client.repository(target.host ?? 'docker.io', target.repository),
    tags: [target.tag ?? 'latest'],
    memory: databasePushMemory(await kiln.db()),
    signal,
  });
  // What waited for this destination is older than what is there now.
  const older = waiting === undefined ? await dropPendingPush(await kiln.db(), destination) : undefined;
  if (older !== undefined) await unpinPush(await kiln.catalog(), older);
  return { digest: result.digest, uploadedBytes: result.bytesSent };
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
