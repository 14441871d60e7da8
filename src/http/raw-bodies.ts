/** Leaves request bodies alone: the handler reads `request.raw` as it comes. */
import type { FastifyInstance } from 'fastify';

/** For one plugin scope; other scopes keep their parsers. */
export function leaveBodiesRaw(scope: FastifyInstance): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser('*', (_request, _payload, done) => done(null));
}
