/** A real Git server over HTTP, with Basic authentication or with redirects where a test wants them. */
import type { IncomingMessage } from 'node:http';
import { serveRepository, type ServedRepository } from '../../src/git/serve-repository.ts';

export interface GitHttpServerOptions {
  readonly name?: string;
  /** `user:password` that every request must give. */
  readonly basic?: string;
  /** Where to send a request; its path and query are the argument. `undefined` answers it here. */
  readonly redirect?: (pathAndQuery: string) => string | undefined;
  /** Sees every request. */
  readonly onRequest?: (request: IncomingMessage) => void;
}

export async function startGitHttpServer(
  repository: string,
  options: GitHttpServerOptions = {},
): Promise<ServedRepository> {
  return await serveRepository(repository, {
    name: options.name,
    admit: (request, response) => {
      options.onRequest?.(request);
      const target = options.redirect?.(request.url ?? '');
      if (target !== undefined) {
        response.writeHead(302, { location: target }).end();
        return false;
      }
      if (options.basic === undefined) return true;
      if (request.headers.authorization === `Basic ${Buffer.from(options.basic).toString('base64')}`)
        return true;
      response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end();
      return false;
    },
  });
}
