/** A registry over a folder, for tests: the real catalog, layer reader, blob store and embedded database. */
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFileBlobStore } from '../src/blobs/file-blob-store.ts';
import { type Catalog, type CatalogOptions, openCatalog } from '../src/catalog/catalog.ts';
import { holdsNothing } from '../src/catalog/path-holder.ts';
import type { Database } from '../src/db/database.ts';
import { openDatabase } from '../src/db/open-database.ts';
import { createLayerReader } from '../src/image/layer-reader.ts';
import { createHttpServer } from '../src/http/http-server.ts';
import { type RegistryOptions, serveRegistry } from '../src/registry/serve-registry.ts';

export interface TestRegistry extends AsyncDisposable {
  readonly directory: string;
  /** `127.0.0.1:port`. */
  readonly host: string;
  readonly url: string;
  readonly catalog: Catalog;
  readonly database: Database;
}

export type TestRegistryOptions = Partial<Omit<CatalogOptions, 'database' | 'blobs'>> &
  Partial<Omit<RegistryOptions, 'catalog'>> & {
    /** Kept afterwards; without it a temporary one is made and removed. */
    readonly directory?: string;
    readonly port?: number;
    /** Elsewhere than in `directory`. */
    readonly blobDirectory?: string;
    /** PostgreSQL instead of the embedded database. */
    readonly databaseUrl?: string;
  };

export async function startTestRegistry(options: TestRegistryOptions = {}): Promise<TestRegistry> {
  const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'kiln-registry-')));
  const database = await openDatabase({
    directory: join(directory, 'database'),
    ...(options.databaseUrl === undefined ? {} : { url: options.databaseUrl }),
  });
  const blobs = await createFileBlobStore(options.blobDirectory ?? join(directory, 'blobs'));
  const reader = createLayerReader({ threads: 1 });
  const catalog = await openCatalog({
    reader,
    holder: holdsNothing,
    ...options,
    database,
    blobs,
  });
  const server = createHttpServer();
  serveRegistry(server.app, { ...options, catalog });
  const url = await server.listen({ host: '127.0.0.1', port: options.port ?? 0 });
  return {
    directory,
    host: new URL(url).host,
    url,
    catalog,
    database,
    async [Symbol.asyncDispose]() {
      await server.close(500);
      await reader[Symbol.asyncDispose]();
      await database[Symbol.asyncDispose]();
      if (options.directory === undefined) await rm(directory, { recursive: true, force: true });
    },
  };
}

/** As a program: `node registry-server.ts DIRECTORY [PORT]` prints its URL, ends with its standard input. */
if (import.meta.main) {
  const [directory, port] = process.argv.slice(2);
  const registry = await startTestRegistry({
    ...(directory === undefined ? {} : { directory }),
    port: Number(port ?? 0),
    sparseManifests: process.env['SPARSE'] === '1',
  });
  process.stdout.write(`${registry.url}\n`);
  const input = createReadStream('', { fd: 0 });
  input.resume();
  await once(input, 'close');
  await registry[Symbol.asyncDispose]();
}
