/** The public class for caching: what builds ask for packages, what is kept, and what may go. */
import { cachePackages, countCachedPackages } from '../app/cache-packages.ts';
import { readCacheStatistics } from '../app/cache-functions.ts';
import { deleteOldPaths } from '../app/old-packages.ts';
import { configureCacheWorker } from '../app/worker-cache.ts';
import { KilnError } from '../base/error.ts';
import { optimiseStore } from '../nix/collect-garbage.ts';
import { checkDays, checkOptions } from './check-options.ts';
import { withKiln } from './default-kiln.ts';

export interface WorkerCacheOptions {
  /** Binary cache that the worker's builds ask first: https://, http://, s3:// or file://. Default: `NIX_CACHE_URL`. */
  readonly cacheUrl?: string;
  /** `name:base64`, keys whose signatures that cache may carry; without its key Nix takes nothing from it. */
  readonly publicKeys?: readonly string[];
  /**
   * Keeps what `cacheCommonPackages` brought: it is not garbage, and where `NIX_LOCAL_CACHE_DIR` is set it is also
   * written to that folder, which builds ask before `cacheUrl`. Default true.
   */
  readonly enableLocalCache?: boolean;
  /** Builds of a machine share its Nix store. Default true; there is no other way, false is refused. */
  readonly enableSharedStore?: boolean;
}

export interface WorkerCache {
  readonly workerId: string;
  readonly cacheUrl?: string;
  readonly publicKeys: readonly string[];
  readonly enableLocalCache: boolean;
  readonly enableSharedStore: true;
}

export interface CachedPackageResult {
  readonly name: string;
  readonly storePath: string;
  /** Bytes of the package with all that it refers to. */
  readonly size: number;
  /** It was in the store before. */
  readonly alreadyCached: boolean;
}

export interface CacheStatistics {
  /** Size of everything in this machine's store, in megabytes (10^6 bytes), two decimals. */
  readonly cacheSizeMb: number;
  /** The same in bytes. */
  readonly cacheSizeBytes: number;
  /** Percent of the store paths that successful builds needed and found here, one decimal; 0 before the first build. */
  readonly hitRate: number;
  /** Store paths that builds needed and found. */
  readonly hits: number;
  /** Store paths that were built or fetched for them. */
  readonly misses: number;
  /** Paths in this machine's store. */
  readonly totalPackages: number;
  /** Packages that `cacheCommonPackages` keeps here. */
  readonly cachedPackages: number;
}

/** Every method may also throw what opening Kiln throws: KilnError invalid-config, database-unreachable, database-in-use, tool-missing. */
export class NixCacheService {
  /**
   * States where builds of a worker take packages from. It is stored in the database, replaces what was there, and holds
   * from the next build on: for builds that name this `workerId`, and for all others on the machine that is this worker
   * (`KILN_WORKER_ID`, else the host name, else the only worker that is configured). A cache that does not answer costs a
   * build some seconds, not its result.
   * @throws KilnError invalid-name, invalid-input; unsupported for `enableSharedStore: false`
   */
  static async configureCacheForWorker(
    workerId: string,
    options: WorkerCacheOptions = {},
  ): Promise<WorkerCache> {
    checkOptions('configureCacheForWorker', options, [
      'cacheUrl', 'publicKeys', 'enableLocalCache', 'enableSharedStore',
    ]); // prettier-ignore
    const { cacheUrl, publicKeys = [], enableLocalCache = true, enableSharedStore = true } = options;
    if (!enableSharedStore) {
      throw new KilnError('unsupported', 'Builds of one machine always share its Nix store', {
        hint: 'Builds cannot see or change each other in it: the sandbox separates them. Leave enableSharedStore out, or use a machine of its own.',
      });
    }
    return await withKiln(async ({ kiln }) => {
      const {
        localCache,
        configuredAt: _,
        ...worker
      } = await configureCacheWorker(kiln, {
        workerId: String(workerId),
        ...(cacheUrl === undefined ? {} : { cacheUrl }),
        publicKeys,
        localCache: enableLocalCache,
      });
      return { ...worker, enableLocalCache: localCache, enableSharedStore: true };
    });
  }

  /**
   * Brings packages into this machine's store (fetched or built) and keeps them there. All names are looked up before
   * the first is built.
   * @param packageNames attributes of the package set: `nodejs`, `python3`, `python3Packages.flask`
   * @throws KilnError not-found for a package that the set does not have; invalid-name; conflict when `KILN_WORKER_ID` says that this machine is another worker; build-failed, dependency-fetch, disk-full
   */
  static async cacheCommonPackages(
    workerId: string,
    packageNames: readonly string[],
  ): Promise<readonly CachedPackageResult[]> {
    if (!Array.isArray(packageNames)) {
      throw new KilnError('invalid-input', 'cacheCommonPackages takes a list of package names', {
        hint: "For example ['nodejs', 'python3'].",
      });
    }
    return await withKiln(async ({ kiln }) =>
      (await cachePackages(kiln, String(workerId), packageNames.map(String))).map(
        ({ name, path, size, present }) => ({ name, storePath: path, size, alreadyCached: present }),
      ),
    );
  }

  /** Figures of this machine's store and of the builds in the database. */
  static async getCacheStatistics(): Promise<CacheStatistics> {
    return await withKiln(async ({ kiln }) => {
      const [statistics, cachedPackages] = await Promise.all([
        readCacheStatistics(kiln),
        countCachedPackages(kiln),
      ]);
      const { size, hits, misses, hitRate, paths } = statistics;
      return {
        cacheSizeMb: Math.round(size / 10_000) / 100,
        cacheSizeBytes: size,
        hitRate: Math.round(hitRate * 10) / 10,
        hits,
        misses,
        totalPackages: paths,
        cachedPackages,
      };
    });
  }

  /**
   * Deletes store paths that came more than `days` ago and that nothing needs: no build on record, no image of the
   * registry, no cached package, no other root of this machine, no younger path. 0 deletes all that is not needed.
   * @returns how many paths were deleted
   * @throws KilnError invalid-input, nix-failed
   */
  static async cleanupOldPackages(days = 30): Promise<number> {
    checkDays('cleanupOldPackages', days);
    return await withKiln(async ({ kiln }) => (await deleteOldPaths(kiln, days)).deleted.length);
  }

  /**
   * Replaces equal files of the store by hard links to one. Takes minutes for a large store the first time.
   * @returns bytes freed, as exact as Nix states them (two decimals of its unit)
   * @throws KilnError nix-failed, disk-full
   */
  static async optimizeStore(): Promise<number> {
    return await withKiln(async ({ kiln }) => {
      const { freedBytes } = await optimiseStore(await kiln.nix(), { signal: kiln.signal });
      return freedBytes;
    });
  }
}
