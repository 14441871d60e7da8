/** Runs an image of the embedded registry under an OCI runtime until it ends or is interrupted. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RunnableImage } from '../api/kiln-api.ts';
import { KilnError } from '../base/error.ts';
import { portsOf } from '../image/image-program.ts';
import type { ImageConfig } from '../oci/image-config.ts';
import { createBundle } from '../runtime/container-bundle.ts';
import { forwardPort, openGateway } from '../runtime/gateway.ts';
import { runContainer, type Container } from '../runtime/oci-runtime.ts';
import { prepareRun } from '../app/prepare-run.ts';
import type { CommandContext } from './command-context.ts';

export interface RunImageOptions {
  readonly args?: readonly string[];
  readonly env?: readonly string[];
  readonly network?: 'loopback' | 'host';
  readonly profile?: 'default' | 'strict';
  /** `8080` or `8080:3000`. */
  readonly port?: string;
}

export async function runImage(
  context: CommandContext,
  runnable: RunnableImage,
  options: RunImageOptions,
): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'kiln-run-'));
  try {
    const image = await prepareRun(context.env, context.signal, runnable, options.args ?? []);
    const program = { ...image.program, env: [...image.program.env, ...(options.env ?? [])] };
    const network = options.network ?? 'loopback';
    await using bundle = await createBundle(directory, image.content, program, {
      profile: options.profile ?? 'default',
      network,
      hostname: 'kiln',
    });
    await using container = await runContainer(image.runtime, bundle, {
      onLine: (line, stream) => (stream === 'stdout' ? context.out : context.err).write(`${line}\n`),
    });
    await using _forward =
      network === 'host'
        ? undefined
        : await forward(context, container, image.config, directory, options.port);
    const stop = (): void => void container.stop();
    context.signal.addEventListener('abort', stop, { once: true });
    const { exitCode } = await container.exited;
    if (!context.signal.aborted) process.exitCode = exitCode === 0 ? 0 : 1;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function forward(
  context: CommandContext,
  container: Container,
  config: ImageConfig,
  directory: string,
  wish: string | undefined,
): Promise<AsyncDisposable | undefined> {
  const [hostPort, imagePort = portsOf(config.config)[0]] = (wish ?? '0').split(':').map(Number);
  const pid = await container.pid;
  if (imagePort === undefined || pid === undefined) return undefined;
  if (!Number.isInteger(hostPort) || !Number.isInteger(imagePort)) {
    throw new KilnError('usage', `--port ${wish} is no port`, {
      hint: 'Write --port 8080 or --port 8080:3000.',
    });
  }
  const gateway = await openGateway(pid, imagePort, directory);
  const bound = await forwardPort(gateway, '127.0.0.1', hostPort ?? 0);
  context.err.write(`listening on http://127.0.0.1:${bound.port} (port ${imagePort} of the image)\n`);
  return {
    async [Symbol.asyncDispose]() {
      await bound[Symbol.asyncDispose]();
      await gateway[Symbol.asyncDispose]();
    },
  };
}
