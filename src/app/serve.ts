/** One listener with the registry, the binary cache and the API, and a worker that builds what is queued. */
import { KilnError } from '../base/error.ts';
import type { KilnApi } from '../api/kiln-api.ts';
import { serveApi } from '../api/serve-api.ts';
import { createHttpServer } from '../http/http-server.ts';
import { serveRegistry } from '../registry/serve-registry.ts';
import { serveCache } from '../cache/serve-cache.ts';
import { openBinaryCache } from './binary-cache.ts';
import { createLocalApi } from './local-api.ts';
import type { Kiln } from './open-kiln.ts';
import { startRegistryUpkeep } from './registry-upkeep.ts';
import { demandAccessControl, guardApi, openServerAccess } from './server-access.ts';

export interface ServeOptions {
  /** `address:port` instead of the settings'; port 0 takes a free one. */
  readonly listen?: string;
  /** Requests come from the person at this machine alone: local folders may be built. Default false. */
  readonly local?: boolean;
}

export interface RunningServer extends AsyncDisposable {
  readonly url: string;
  /** The same functions without the network. */
  readonly api: KilnApi;
}

/** @throws KilnError invalid-config (open to a network by accident), port-taken, database-unreachable, tool-missing */
export async function serve(kiln: Kiln, options: ServeOptions = {}): Promise<RunningServer> {
  const address = options.listen === undefined ? kiln.settings.listen : parseListen(options.listen);
  demandAccessControl(kiln.settings, address.host);
  const server = createHttpServer();
  const api = createLocalApi(kiln, { local: options.local ?? false });
  guardApi(server.app, kiln.settings, kiln.db);
  serveRegistry(server.app, {
    catalog: await kiln.catalog(),
    access: await openServerAccess(kiln.settings, await kiln.db()),
    maxUploadSize: kiln.settings.limits.uploadSize,
  });
  const cache = await openBinaryCache(kiln, address.host);
  serveCache(server.app, cache.context);
  const stopping = new AbortController();
  serveApi(server.app, api, stopping.signal);
  server.app.get('/healthz', () => ({ status: 'ok' }));
  server.app.get('/readyz', async () => {
    await (await kiln.db()).query('select 1');
    return { status: 'ok' };
  });
  const url = await server.listen(address);
  const worker = await api.startWorker();
  const upkeep = startRegistryUpkeep(kiln);
  return {
    url,
    api,
    async [Symbol.asyncDispose]() {
      stopping.abort();
      // Running builds are handed back at once, while transfers may still end.
      await Promise.all([server.close(), worker[Symbol.asyncDispose]()]);
      await upkeep[Symbol.asyncDispose]();
      await cache[Symbol.asyncDispose]();
      await api[Symbol.asyncDispose]();
    },
  };
}

function parseListen(text: string): { readonly host: string; readonly port: number } {
  const match = /^(?:\[(?<six>[0-9a-fA-F:]+)\]|(?<host>[^:]*)):(?<port>\d{1,5})$/.exec(text);
  const { six, host = '', port } = match?.groups ?? {};
  if (port === undefined || Number(port) > 65_535) {
    throw new KilnError('usage', `${text} is no address to listen on`, {
      hint: 'Write ADDRESS:PORT, e.g. 127.0.0.1:5000.',
    });
  }
  return { host: six ?? (host === '' ? '0.0.0.0' : host), port: Number(port) };
}
