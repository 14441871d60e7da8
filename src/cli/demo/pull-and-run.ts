/** Pulls an image by digest over HTTP, unpacks what came, runs it, and asks it for its page. */
import { request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { OciDigest, RepositoryName } from '../../base/brand.ts';
import { KilnError } from '../../base/error.ts';
import { programOf, portsOf } from '../../image/image-program.ts';
import type { ImageConfig } from '../../oci/image-config.ts';
import { pullImage, type PullResult } from '../../registry/client-pull.ts';
import { RegistryClient } from '../../registry/registry-client.ts';
import { createBundle } from '../../runtime/container-bundle.ts';
import { openGateway } from '../../runtime/gateway.ts';
import { runContainer, type OciRuntime } from '../../runtime/oci-runtime.ts';
import { openLayoutImage } from '../../runtime/unpack-layout.ts';

export async function pull(
  host: string,
  repository: RepositoryName,
  digest: OciDigest,
  directory: string,
  signal: AbortSignal,
): Promise<PullResult> {
  const client = new RegistryClient({
    plainHosts: [host],
    credentials: async () => await Promise.resolve(undefined),
  });
  return await pullImage(client.repository(host, repository), { reference: digest, directory, signal });
}

export interface Page {
  readonly status: number;
  readonly body: string;
  /** From the start of the runtime to the answer. */
  readonly answeredAfterMs: number;
}

export interface RunPulledOptions {
  /** The OCI layout that {@link pull} filled. */
  readonly layout: string;
  readonly digest: OciDigest;
  readonly runtime: OciRuntime;
  readonly env: readonly string[];
  readonly signal: AbortSignal;
}

const ANSWER_MS = 30_000;

/** @throws KilnError image-does-not-start */
export async function runPulled(parent: string, options: RunPulledOptions): Promise<Page> {
  const { layout, digest, runtime, signal } = options;
  const image = await openLayoutImage(layout, digest);
  const program = programOf(image.config.config);
  await using bundle = await createBundle(
    parent,
    { literals: [], storePaths: [], fill: (root) => image.unpack(root, signal) },
    { ...program, env: [...program.env, ...options.env] },
    { profile: 'default', network: 'loopback', hostname: 'demo' },
  );
  const started = performance.now();
  await using container = await runContainer(runtime, bundle, { signal });
  return await ask(container.pid, image.config, parent, started);
}

async function ask(
  pid: Promise<number | undefined>,
  config: ImageConfig,
  directory: string,
  started: number,
): Promise<Page> {
  const [port] = portsOf(config.config);
  const running = await pid;
  if (port === undefined || running === undefined)
    throw new KilnError('image-does-not-start', 'the demo image did not start');
  await using gateway = await openGateway(running, port, directory);
  for (;;) {
    const answer = await get(gateway.socketFile, '/').catch(() => undefined);
    const answeredAfterMs = performance.now() - started;
    if (answer !== undefined) return { ...answer, answeredAfterMs };
    if (answeredAfterMs > ANSWER_MS)
      throw new KilnError('image-does-not-start', 'the demo image did not answer within 30 s');
    await sleep(10);
  }
}

function get(socketPath: string, path: string): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { socketPath, path, headers: { host: 'localhost', connection: 'close' } },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }),
        );
        response.on('error', reject);
      },
    );
    outgoing.on('error', reject);
    outgoing.end();
  });
}
