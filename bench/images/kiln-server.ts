/**
 * As a program, `FOLDER FIRST SECOND LARGE SMALL`: a registry over an empty database that makes images of the closures FIRST and
 * then SECOND, and one of the store paths LARGE and SMALL as a layer each. Prints what it did as one JSON line, then serves.
 * A line `push HOST` on standard input pushes the second image there and prints the milliseconds. Ends with its input.
 */
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { RepositoryName, StorePath } from '../../src/base/brand.ts';
import { createFileBlobStore } from '../../src/blobs/file-blob-store.ts';
import { openCatalog } from '../../src/catalog/catalog.ts';
import { holdsNothing } from '../../src/catalog/path-holder.ts';
import { openDatabase } from '../../src/db/open-database.ts';
import { createHttpServer } from '../../src/http/http-server.ts';
import { buildImage, type BuiltImage } from '../../src/image/build-image.ts';
import { LayerHasher } from '../../src/image/layer-hasher.ts';
import { createLayerReader } from '../../src/image/layer-reader.ts';
import { nixOnPath } from '../../src/nix/nix-installation.ts';
import { openStoreDatabase } from '../../src/nix/open-store-database.ts';
import type { Layer } from '../../src/oci/layer-recipe.ts';
import { pushImage } from '../../src/registry/client-push.ts';
import { catalogSource } from '../../src/registry/image-source.ts';
import { RegistryClient } from '../../src/registry/registry-client.ts';
import { serveRegistry } from '../../src/registry/serve-registry.ts';
import type { Closure } from '../../src/store/closure.ts';

const [folder = '', first, second, large, small] = process.argv.slice(2) as StorePath[];
await using database = await openDatabase({ directory: join(folder, 'database') });
await using reader = createLayerReader();
await using hasher = new LayerHasher();
using store = openStoreDatabase(await nixOnPath());
const blobs = await createFileBlobStore(join(folder, 'blobs'));
const catalog = await openCatalog({ database, blobs, reader, holder: holdsNothing });
const repository = 'bench/app' as RepositoryName;

interface Made {
  readonly ms: number;
  readonly hashedBytes: number;
  readonly layers: readonly Layer[];
}

/** From the root to a tag that can be pulled. */
async function make(tag: string, root: StorePath, previous?: readonly Layer[]): Promise<Made> {
  const started = performance.now();
  const image = await build(await store.closure([root]), previous);
  await publish(tag, image);
  return { ms: performance.now() - started, hashedBytes: image.hashedBytes, layers: image.layers };
}

async function build(closure: Closure, previous?: readonly Layer[]): Promise<BuiltImage> {
  return await buildImage(
    {
      closure,
      system: 'x86_64-linux',
      name: 'bench',
      settings: { entrypoint: ['/bin/true'] },
      ...(previous === undefined ? {} : { previous: { layers: previous } }),
    },
    { db: database, hasher },
  );
}

async function publish(tag: string, { manifest, config, layers }: BuiltImage): Promise<void> {
  await catalog.publishImage({ repository, tags: [tag], manifest, config, layers });
}

/** One store path alone: its layer is the one that holds it. */
async function single(path: StorePath): Promise<Layer | undefined> {
  const info = await store.pathInfo(path);
  if (info === undefined) return undefined;
  const image = await build({ roots: [path], paths: [{ ...info, references: [] }] });
  await publish('single', image);
  return image.layers.find(({ recipe }) => recipe.entries.some((entry) => entry.type === 'store-path'));
}

const cold = await make('first', first ?? ('' as StorePath));
const changed = await make('second', second ?? ('' as StorePath), cold.layers);
const [largeLayer, smallLayer] = [
  large === undefined ? undefined : await single(large),
  small === undefined ? undefined : await single(small),
];
const server = createHttpServer();
serveRegistry(server.app, { catalog });
const url = await server.listen({ host: '127.0.0.1', port: 0 });
const brief = ({ ms, hashedBytes, layers }: Made): unknown => ({ ms, hashedBytes, layers: layers.length });
const blob = (layer?: Layer): unknown => ({
  url: `${url}/v2/${repository}/blobs/${layer?.digest}`,
  size: layer?.size,
});
console.log(
  JSON.stringify({
    url,
    cold: brief(cold),
    changed: brief(changed),
    large: blob(largeLayer),
    small: blob(smallLayer),
  }),
);

for await (const line of createInterface({ input: process.stdin })) {
  const [, host = ''] = line.split(' ');
  const started = performance.now();
  await pushImage({
    source: catalogSource(catalog, repository, 'second'),
    target: new RegistryClient({}).repository(host, 'kiln/pushed' as RepositoryName),
    tags: ['second'],
    encoding: 'keep',
  });
  console.log(JSON.stringify({ ms: performance.now() - started }));
}
await server.close(100);
