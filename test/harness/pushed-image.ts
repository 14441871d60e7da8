/** An image as another tool makes it: gzip layers with Docker's media types, pushed over HTTP. */
import { gzipSync } from 'node:zlib';
import { pack, type Header } from 'tar-stream';
import { digestOf } from '../../src/oci/digest.ts';
import { DOCKER_CONFIG, DOCKER_LAYER_GZIP } from '../../src/oci/media-types.ts';

export interface TarRow extends Pick<Header, 'name'>, Partial<Pick<Header, 'type' | 'mode' | 'linkname'>> {
  readonly content?: string | Buffer;
}

const DOCKER_MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';

export async function tarOf(rows: readonly TarRow[]): Promise<Buffer> {
  const archive = pack();
  for (const { content = '', ...header } of rows)
    archive.entry({ type: header.name.endsWith('/') ? 'directory' : 'file', ...header }, content);
  archive.finalize();
  return Buffer.concat(await Array.fromAsync(archive as unknown as AsyncIterable<Buffer>));
}

/** @returns the digest of the manifest */
export async function pushImageByHand(
  registry: string,
  repository: string,
  tag: string,
  layers: readonly (readonly TarRow[])[],
): Promise<string> {
  const tars = await Promise.all(layers.map(tarOf));
  const blobs = tars.map((tar) => gzipSync(tar));
  const config = Buffer.from(
    JSON.stringify({
      architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
      os: 'linux',
      config: { Env: ['PATH=/base/bin', 'FROM_BASE=yes'], Labels: { base: 'label' } },
      rootfs: { type: 'layers', diff_ids: tars.map((tar) => digestOf(tar)) },
    }),
  );
  for (const blob of [config, ...blobs]) {
    const started = await fetch(`${registry}/v2/${repository}/blobs/uploads/`, { method: 'POST' });
    const location = new URL(started.headers.get('location') ?? '', registry);
    location.searchParams.set('digest', digestOf(blob));
    const answer = await fetch(location, { method: 'PUT', body: new Uint8Array(blob) });
    if (answer.status !== 201) throw new Error(`the blob was answered with ${answer.status}`);
  }
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: DOCKER_MANIFEST,
    config: { mediaType: DOCKER_CONFIG, digest: digestOf(config), size: config.length },
    layers: blobs.map((blob) => ({
      mediaType: DOCKER_LAYER_GZIP,
      digest: digestOf(blob),
      size: blob.length,
    })),
  });
  const answer = await fetch(`${registry}/v2/${repository}/manifests/${tag}`, {
    method: 'PUT',
    headers: { 'content-type': DOCKER_MANIFEST },
    body: manifest,
  });
  if (answer.status !== 201) throw new Error(`the manifest was answered with ${answer.status}`);
  return digestOf(Buffer.from(manifest));
}
