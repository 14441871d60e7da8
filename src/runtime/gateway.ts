/** A way into a container's own network: a socket file whose connections end at a port on the container's loopback. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, connect, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { KilnError, systemErrorCode } from '../base/error.ts';
import { markedEnvironment } from '../process/process-mark.ts';

export interface Gateway extends AsyncDisposable {
  readonly socketFile: string;
}

const PROGRAM = fileURLToPath(new URL('gateway-program.mjs', import.meta.url));

/** Joins the network of process `pid` (util-linux `nsenter`) and waits until the socket file accepts connections. */
export async function openGateway(pid: number, port: number, directory: string): Promise<Gateway> {
  const socketFile = join(directory, `${pid}-${port}.sock`);
  // The user namespace is joined too where it is not ours (without root).
  const join_ = process.getuid?.() === 0 ? ['--net'] : ['--user', '--preserve-credentials', '--net'];
  const child = spawn(
    'nsenter',
    ['--target', String(pid), ...join_, process.execPath, PROGRAM, socketFile, String(port)],
    {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: markedEnvironment(undefined) as NodeJS.ProcessEnv | undefined,
    },
  );
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const failed = once(child, 'exit').then(() => {
    throw new KilnError('image-failed', `the container's network could not be joined: ${stderr.trim()}`);
  });
  const dispose = async (): Promise<void> => {
    child.removeAllListeners('exit');
    child.kill('SIGKILL');
  };
  await Promise.race([
    once(child.stdout, 'data'),
    failed,
    once(child, 'error').then(([error]) => {
      throw error;
    }),
  ]);
  failed.catch(() => undefined);
  return { socketFile, [Symbol.asyncDispose]: dispose };
}

export interface PortForward extends AsyncDisposable {
  readonly address: string;
  readonly port: number;
}

/** Listens on `address:port` of this machine (0: any free port) and forwards to the gateway. @throws KilnError port-taken */
export async function forwardPort(gateway: Gateway, address: string, port: number): Promise<PortForward> {
  const server = createServer({ allowHalfOpen: true }, (outside) => {
    const inside = connect({ path: gateway.socketFile, allowHalfOpen: true });
    const close = (): void => {
      outside.destroy();
      inside.destroy();
    };
    outside.on('error', close);
    inside.on('error', close);
    outside.pipe(inside);
    inside.pipe(outside);
  });
  server.listen(port, address);
  try {
    await once(server, 'listening');
  } catch (error) {
    if (systemErrorCode(error) !== 'EADDRINUSE') throw error;
    throw new KilnError('port-taken', `port ${port} on ${address} is in use`, {
      hint: 'Choose another with --port, or stop the program that listens there.',
    });
  }
  const bound = server.address() as AddressInfo;
  return {
    address,
    port: bound.port,
    async [Symbol.asyncDispose]() {
      server.close();
    },
  };
}
