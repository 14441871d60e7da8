/** Opens the binary cache of a server: the store, what was uploaded, keys, and who may use it. */
import { mkdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import type { CacheAccess } from '../cache/cache-access.ts';
import { createAccessGuard } from '../cache/cache-access.ts';
import type { CacheContext } from '../cache/cache-context.ts';
import { type KeyRing, openKeyRing } from '../cache/key-ring.ts';
import { createNarVerifier } from '../cache/nar-verifier.ts';
import { EVERYTHING, servesOwn } from '../cache/served-paths.ts';
import { StoreView } from '../cache/store-view.ts';
import { openUploadedPaths, type UploadedPaths } from '../cache/uploaded-paths.ts';
import { DEFAULT_SPEED_LIMIT } from '../http/receive-bytes.ts';
import { openBuildTraces } from '../nix/build-traces.ts';
import { createTemporaryRoots } from '../nix/temporary-roots.ts';
import { CACHE_SCOPE, scopesAllow } from '../registry/access-scope.ts';
import { findToken } from '../registry/token-store.ts';
import { parsePublicKey } from '../store/signature.ts';
import type { Kiln } from './open-kiln.ts';
import { isLoopback } from './server-access.ts';

export interface BinaryCache extends AsyncDisposable {
  readonly context: CacheContext;
}

/** @param host that the server listens on. @throws KilnError invalid-config */
export async function openBinaryCache(kiln: Kiln, host: string): Promise<BinaryCache> {
  const { settings, folders } = kiln;
  await mkdir(folders.roots, { recursive: true });
  const keyRing = openKeyRing(folders.keys);
  await ensureKey(keyRing, settings.url);
  const nix = await kiln.nix();
  const database = await kiln.store();
  const served =
    settings.cache.serve === 'all' ? EVERYTHING : servesOwn(database, await kiln.roots(), folders.roots);
  const uploaded = await openUploadedPaths(await kiln.db(), folders.cache);
  await using stack = new AsyncDisposableStack();
  const context: CacheContext = {
    nix,
    guard: createAccessGuard(accessOf(kiln, host)),
    store: new StoreView(database, served, keyRing),
    served,
    uploaded,
    reader: await kiln.reader(),
    temporaryRoots: stack.use(createTemporaryRoots(nix)),
    traces: stack.use(openBuildTraces(nix)),
    verifier: stack.use(createNarVerifier()),
    settings: {
      priority: settings.cache.priority,
      transferEncoding: settings.cache.transferEncoding,
      trustedKeys: settings.cache.trustedKeys.map(parsePublicKey),
      unsignedUploads: settings.cache.unsignedUploads,
      maxUploadSize: settings.limits.uploadSize,
      maxLogSize: settings.limits.logSize,
      speedLimit: DEFAULT_SPEED_LIMIT,
    },
  };
  stack.use(sweepRegularly(kiln, uploaded));
  const opened = stack.move();
  return { context, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

/** A cache that signs nothing would be refused by every client. */
async function ensureKey(keyRing: KeyRing, url: string | undefined): Promise<void> {
  if ((await keyRing.keys()).length > 0) return;
  const host = url === undefined ? hostname() : new URL(url).hostname;
  await keyRing.generate(`${host}-1`);
}

function accessOf(kiln: Kiln, host: string): CacheAccess {
  const { cache, registry } = kiln.settings;
  return {
    allowedClients: cache.allowedClients,
    trustedProxies: cache.trustedProxies,
    readToken: cache.readToken,
    // On a machine that serves a network others may have accounts too; there everybody shows a token.
    localWrites: isLoopback(host) && registry.access !== 'token',
    authenticate: async (secret) => {
      const token = await findToken(await kiln.db(), secret);
      return token === undefined
        ? undefined
        : {
            name: token.name,
            read: scopesAllow(token.scopes, CACHE_SCOPE, 'pull'),
            write: scopesAllow(token.scopes, CACHE_SCOPE, 'push'),
          };
    },
  };
}

function sweepRegularly(kiln: Kiln, uploaded: UploadedPaths): AsyncDisposable {
  const { interval } = kiln.settings.retention;
  const { uploadIdle } = kiln.settings.registry;
  let sweeping: Promise<unknown> = Promise.resolve();
  const timer = setInterval(() => {
    sweeping = sweeping
      .then(() => uploaded.sweep(uploadIdle))
      .catch((error: unknown) => kiln.onNotice(`cleaning up the cache failed: ${String(error)}`));
  }, interval).unref();
  return {
    [Symbol.asyncDispose]: async () => {
      clearInterval(timer);
      await sweeping;
    },
  };
}
