/** Puts the parts together for one process. What a command does not use is not opened. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { systemClock } from '../base/clock.ts';
import type { UploadLimits } from '../catalog/blob-uploads.ts';
import type { Catalog, LayerReader } from '../catalog/catalog.ts';
import type { ServerSettings } from '../config/server-settings.ts';
import type { Database } from '../db/database.ts';
import type { LayerHasher } from '../image/layer-hasher.ts';
import type { LayerReader as StoreReader } from '../image/layer-reader.ts';
import type { GcRoots } from '../nix/gc-roots.ts';
import type { NixInstallation } from '../nix/nix-installation.ts';
import type { StoreDatabase } from '../nix/store-database.ts';
import type { OciRuntime } from '../runtime/oci-runtime.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface OpenKilnOptions {
  readonly env: Environment;
  readonly signal: AbortSignal;
  /** What is being installed or waited for. */
  readonly onNotice: (line: string) => void;
  readonly clock?: Clock;
  /** How long another process may go on using the embedded database; default 10 minutes. */
  readonly databaseWaitMs?: number;
}

export interface Kiln extends AsyncDisposable {
  readonly env: Environment;
  readonly settings: ServerSettings;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly onNotice: (line: string) => void;
  readonly folders: KilnFolders;
  /** @throws KilnError database-unreachable, database-in-use */
  readonly db: () => Promise<Database>;
  /** Installed first where the machine has none. @throws KilnError tool-missing */
  readonly nix: () => Promise<NixInstallation>;
  readonly store: () => Promise<StoreDatabase>;
  readonly roots: () => Promise<GcRoots>;
  /** Gives the bytes of layers and NARs. */
  readonly reader: () => Promise<StoreReader>;
  readonly catalog: () => Promise<Catalog>;
  readonly runtime: () => Promise<OciRuntime>;
  readonly hasher: () => Promise<LayerHasher>;
}

export interface KilnFolders {
  readonly home: string;
  readonly database: string;
  readonly blobs: string;
  readonly roots: string;
  readonly workspace: string;
  readonly dependencies: string;
  readonly mirrors: string;
  readonly knownHosts: string;
  readonly runtimeMemory: string;
  readonly keys: string;
  readonly cache: string;
}

const DATABASE_WAIT_MS = 600_000;
const DAY_MS = 24 * 3_600_000;

/** @throws KilnError invalid-config */
export async function openKiln(options: OpenKilnOptions): Promise<Kiln> {
  const { env, signal, onNotice } = options;
  const { loadServerSettings } = await import('../config/load-server-settings.ts');
  const { settings } = await loadServerSettings({ env });
  const folders = foldersOf(settings);
  const stack = new AsyncDisposableStack();
  const once = <T>(open: () => Promise<T>): (() => Promise<T>) => {
    let opened: Promise<T> | undefined;
    return () => (opened ??= open());
  };

  const db = once(async () => {
    await mkdir(folders.home, { recursive: true, mode: 0o700 });
    const { openDatabase } = await import('../db/open-database.ts');
    return stack.use(
      await openDatabase({
        directory: folders.database,
        signal,
        waitMs: options.databaseWaitMs ?? DATABASE_WAIT_MS,
        onWait: (holder) =>
          onNotice(
            `waiting for another kiln${holder === undefined ? '' : ` (process ${holder.pid})`} that uses ${folders.home}`,
          ),
        ...(settings.database.url === undefined ? {} : { url: settings.database.url.reveal() }),
      }),
    );
  });
  const nix = once(async () => {
    const { ensureNix } = await import('../setup/install-nix.ts');
    return await ensureNix({ env, signal, onProgress: onNotice });
  });
  const store = once(async () => {
    const { openStoreDatabase } = await import('../nix/open-store-database.ts');
    return stack.use(openStoreDatabase(await nix()));
  });
  const roots = once(async () => {
    const { openGcRoots } = await import('../nix/gc-roots.ts');
    return await openGcRoots(await nix(), folders.roots);
  });
  const reader = once(async () => {
    const { createLayerReader } = await import('../image/layer-reader.ts');
    return stack.use(createLayerReader());
  });
  const catalog = once(async () => {
    return await openRegistryCatalog(folders, settings, {
      db,
      roots,
      store,
      reader: await reader(),
    });
  });
  const runtime = once(async () => {
    const { ensureWorkingRuntime } = await import('../setup/working-runtime.ts');
    return await ensureWorkingRuntime({ env, signal, onProgress: onNotice }, folders.runtimeMemory);
  });
  const hasher = once(async () => {
    const { LayerHasher: Hasher } = await import('../image/layer-hasher.ts');
    return stack.use(new Hasher());
  });
  return {
    env, settings, signal, onNotice, folders, db, nix, store, roots, reader, catalog, runtime, hasher,
    clock: options.clock ?? systemClock,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }; // prettier-ignore
}

async function openRegistryCatalog(
  folders: KilnFolders,
  settings: ServerSettings,
  parts: Pick<Kiln, 'db' | 'roots' | 'store'> & { readonly reader: LayerReader },
): Promise<Catalog> {
  const [{ openCatalog }, { createFileBlobStore }, { createManifestRoots }] = await Promise.all([
    import('../catalog/catalog.ts'),
    import('../blobs/file-blob-store.ts'),
    import('./manifest-roots.ts'),
  ]);
  return await openCatalog({
    database: await parts.db(),
    blobs: await createFileBlobStore(folders.blobs),
    reader: parts.reader,
    holder: createManifestRoots(parts.roots, parts.store),
    uploadLimits: uploadLimitsOf(settings),
    retention: {
      untaggedMs: settings.retention.untagged,
      newest: settings.retention.images,
      passingTags: settings.retention.passingTags,
    },
    graceMs: Math.max(DAY_MS, settings.registry.uploadIdle),
  });
}

function uploadLimitsOf({ registry }: ServerSettings): UploadLimits {
  const { openUploads, uploadIdle } = registry;
  return { total: openUploads, perRepository: Math.max(1, Math.floor(openUploads / 10)), ttlMs: uploadIdle };
}

function foldersOf(settings: ServerSettings): KilnFolders {
  const home = settings.home;
  return {
    home,
    database: join(home, 'database'),
    blobs: join(home, 'blobs'),
    roots: join(home, 'roots'),
    workspace: settings.workspace,
    dependencies: join(home, 'dependencies'),
    mirrors: settings.git.mirrorDir,
    knownHosts: settings.git.knownHostsFile,
    runtimeMemory: join(home, 'runtime'),
    keys: join(home, 'keys'),
    cache: settings.cache.localDir,
  };
}
