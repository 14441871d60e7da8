/** Which binary caches a worker's builds ask: its own configuration, else this machine's settings. */
import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { KilnError } from '../base/error.ts';
import { listCacheWorkers, saveCacheWorker, type CacheWorker } from '../build/cache-worker-queries.ts';
import type { Kiln } from './open-kiln.ts';

const WORKER_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const PUBLIC_KEY = /^[^:\s]+:[A-Za-z0-9+/]{43}=$/;
const SCHEMES = ['https:', 'http:', 's3:', 'file:'];

/** A cache that does not answer must cost a build seconds, not its result. */
const PATIENCE = { 'connect-timeout': '5', 'download-attempts': '2', fallback: 'true' };

/** @throws KilnError invalid-input, invalid-name */
export async function configureCacheWorker(
  kiln: Kiln,
  worker: Omit<CacheWorker, 'configuredAt'>,
): Promise<CacheWorker> {
  checkWorkerId(worker.workerId);
  if (worker.cacheUrl !== undefined) checkCacheUrl(worker.cacheUrl);
  const wrong = worker.publicKeys.find((key) => !PUBLIC_KEY.test(key));
  if (wrong !== undefined) {
    throw new KilnError('invalid-input', 'This is no public key of a binary cache', {
      where: wrong.slice(0, 200),
      hint: 'Write NAME:BASE64 as the cache states it, e.g. cache.example.com-1:rXu…=.',
    });
  }
  return await saveCacheWorker(await kiln.db(), worker);
}

/** @throws KilnError invalid-name */
export function checkWorkerId(workerId: string): void {
  if (WORKER_ID.test(workerId)) return;
  throw new KilnError('invalid-name', `${JSON.stringify(workerId.slice(0, 80))} cannot name a worker`, {
    hint: 'Use letters, digits, ".", "_" and "-", at most 64, beginning with a letter or digit.',
  });
}

/**
 * The configuration of a worker. Without `workerId`: that of this machine, which is the worker named by
 * `KILN_WORKER_ID`; where that is not set, by the host name; where there is none of that name, the only one there is.
 */
export async function findCacheWorker(kiln: Kiln, workerId?: string): Promise<CacheWorker | undefined> {
  const workers = await listCacheWorkers(await kiln.db());
  const named = workerId ?? ownWorkerId(kiln);
  const found = workers.find((worker) => worker.workerId === (named ?? hostname()));
  if (found !== undefined || named !== undefined) return found;
  return workers.length === 1 ? workers[0] : undefined;
}

/** The name that this machine was given as a worker, if any. */
export function ownWorkerId(kiln: Kiln): string | undefined {
  const name = kiln.env['KILN_WORKER_ID'];
  return name === undefined || name === '' ? undefined : name;
}

/** Nix settings for builds of that worker; empty where no cache is known. */
export async function cacheSettings(
  kiln: Kiln,
  workerId: string | undefined,
): Promise<Readonly<Record<string, string>>> {
  const { cache } = kiln.settings;
  const worker = await findCacheWorker(kiln, workerId);
  const local = (worker?.localCache ?? true) ? localCacheStore(kiln) : undefined;
  const substituters = [local, worker?.cacheUrl ?? cache.url].filter((url) => url !== undefined);
  if (substituters.length === 0) return {};
  const keys = [...new Set([...cache.publicKeys, ...(worker?.publicKeys ?? [])])];
  return {
    'extra-substituters': substituters.join(' '),
    ...(keys.length === 0 ? {} : { 'extra-trusted-public-keys': keys.join(' ') }),
    ...PATIENCE,
  };
}

/** The folder of the local cache, where one was configured (`NIX_LOCAL_CACHE_DIR`). */
export function localCacheFolder(kiln: Kiln): string | undefined {
  const { home, cache } = kiln.settings;
  return cache.localDir === join(home, 'cache') ? undefined : cache.localDir;
}

/** Only this machine's administrator writes to the folder, so its paths need no signature. */
function localCacheStore(kiln: Kiln): string | undefined {
  const folder = localCacheFolder(kiln);
  if (folder === undefined || !existsSync(join(folder, 'nix-cache-info'))) return undefined;
  return `${pathToFileURL(folder).href}?trusted=true`;
}

function checkCacheUrl(text: string): void {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !SCHEMES.includes(url.protocol) || /\s/.test(text)) {
    throw new KilnError(
      'invalid-input',
      `${JSON.stringify(text.slice(0, 200))} is no address of a binary cache`,
      {
        hint: 'Use https://, http://, s3:// or file://, e.g. https://cache.example.com.',
      },
    );
  }
  if (url.username === '' && url.password === '') return;
  throw new KilnError('invalid-input', 'The address of a binary cache must not hold a password', {
    hint: 'Nix reads it from the file that its setting netrc-file names.',
  });
}
