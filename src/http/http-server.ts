/** The one listener: limits that hold for every request, errors, and an orderly end. */
import Fastify, { type FastifyBaseLogger, type FastifyInstance, type FastifyReply } from 'fastify';
import { KilnError, systemErrorCode } from '../base/error.ts';
import { errorResponse } from './error-response.ts';

export interface HttpServerOptions {
  readonly log?: FastifyBaseLogger;
  /** Trust `X-Forwarded-*` of a proxy in front. */
  readonly trustProxy?: boolean;
}

export interface HttpServer {
  readonly app: FastifyInstance;
  /** Listens and returns the URL; port 0 takes a free one. @throws KilnError port-taken */
  listen(address: { readonly host: string; readonly port: number }): Promise<string>;
  /** Requests that are being answered. */
  inFlight(): number;
  /** Takes no more connections, lets what is in flight end for `graceMs`, then cuts it off. */
  close(graceMs?: number): Promise<void>;
}

/** Bytes of a body that is read into memory. Streamed bodies have their own limits. */
const BODY_LIMIT = 2 ** 20;
const HEADER_LIMIT = 32 * 1024;
const HEADERS_TIMEOUT_MS = 30_000;
const KEEP_ALIVE_MS = 75_000;
const SWEEP_MS = 50;

export function createHttpServer(options: HttpServerOptions = {}): HttpServer {
  const app = Fastify({
    ...(options.log === undefined ? {} : { loggerInstance: options.log }),
    bodyLimit: BODY_LIMIT,
    // Bodies may take hours; headers may not. Slow bodies end by receive-bytes.ts.
    requestTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE_MS,
    http: { maxHeaderSize: HEADER_LIMIT, headersTimeout: HEADERS_TIMEOUT_MS },
    trustProxy: options.trustProxy ?? false,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 1024 },
    exposeHeadRoutes: false,
    frameworkErrors(error, _request, reply) {
      const response = errorResponse(error);
      void (reply as FastifyReply).status(response.status).send(response.body);
    },
  });
  let inFlight = 0;
  app.server.on('request', (_request, response) => {
    inFlight++;
    response.once('close', () => inFlight--);
  });
  app.setErrorHandler((error, request, reply) => {
    const response = errorResponse(error);
    if (response.status >= 500) request.log.error({ err: error }, 'request failed');
    return reply.status(response.status).headers(response.headers).send(response.body);
  });
  app.setNotFoundHandler((request) => {
    throw new KilnError(
      'not-found',
      `There is nothing at ${request.method} ${request.url.split('?')[0] ?? ''}`,
    );
  });
  return {
    app,
    inFlight: () => inFlight,
    async listen({ host, port }) {
      try {
        return await app.listen({ host, port });
      } catch (error) {
        throw listenFailure(error, host, port);
      }
    },
    async close(graceMs = 10_000) {
      const cut = setTimeout(() => app.server.closeAllConnections(), graceMs);
      // Connections that are kept for a next request, or never sent one, must not hold up the end.
      const sweep = setInterval(() => {
        if (inFlight === 0) app.server.closeAllConnections();
        else app.server.closeIdleConnections();
      }, SWEEP_MS);
      try {
        await app.close();
      } finally {
        clearTimeout(cut);
        clearInterval(sweep);
      }
    },
  };
}

function listenFailure(error: unknown, host: string, port: number): unknown {
  const code = systemErrorCode(error);
  if (code !== 'EADDRINUSE' && code !== 'EACCES' && code !== 'EADDRNOTAVAIL') return error;
  const reason = {
    EADDRINUSE: 'another program listens there',
    EACCES: 'the system does not allow it',
    EADDRNOTAVAIL: 'this machine has no such address',
  }[code];
  return new KilnError('port-taken', `Kiln cannot listen on port ${port}: ${reason}`, {
    where: `${host.includes(':') ? `[${host}]` : host}:${port}`,
    hint:
      code === 'EADDRINUSE'
        ? `End the program that has it (\`ss -ltnp sport = :${port}\` names it), or choose another with \`kiln serve --listen ADDRESS:PORT\`. If it is a Kiln, use it: KILN_URL=http://${host}:${port}.`
        : 'Choose another with `kiln serve --listen ADDRESS:PORT`, or with `listen` in the settings.',
    cause: error,
  });
}
