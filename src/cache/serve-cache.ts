/** The binary cache's endpoints on an HTTP server, at its root and below `/upload`. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { isKilnError, KilnError } from '../base/error.ts';
import { errorResponse } from '../http/error-response.ts';
import { leaveBodiesRaw } from '../http/raw-bodies.ts';
import type { CacheCall, CacheContext } from './cache-context.ts';
import { type CachePath, parseCachePath } from './cache-path.ts';
import * as nar from './nar-endpoints.ts';
import * as read from './read-endpoints.ts';
import { receiveDecoded } from './receive-decoded.ts';
import * as record from './record-endpoints.ts';
import * as upload from './upload-endpoints.ts';

/** `/upload` is for pushing: what it answers is what this server itself has. */
const PREFIX = '/upload';
const BY_HASH = ':name(^[0-9a-df-np-sv-z]{32}\\.(?:narinfo|ls)$)';
const ROUTES = [
  'nix-cache-info',
  BY_HASH,
  'nar/*',
  'log/*',
  'realisations/*',
  'build-trace-v2/*',
  'debuginfo/*',
];
/** Bytes of a client's own listing or index of debug files, which are made here. */
const MAX_IGNORED = 256 * 2 ** 20;

/** Adds the routes. */
export function serveCache(app: FastifyInstance, context: CacheContext): void {
  void app.register((scope, _options, done) => {
    leaveBodiesRaw(scope);
    scope.setErrorHandler((error, request, reply) => sendError(error, request, reply));
    const handler = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> =>
      await answer({ context, request, reply });
    for (const route of ROUTES) {
      for (const url of [`/${route}`, `${PREFIX}/${route}`])
        scope.route({ method: ['GET', 'HEAD', 'PUT'], url, handler });
    }
    done();
  });
}

async function answer(call: CacheCall): Promise<FastifyReply> {
  const { context, request } = call;
  const target = (request.raw.url ?? '').slice(1).replace(/^upload\//, '');
  const path = parseCachePath(target);
  if (request.method === 'PUT') {
    const uploadedBy = await context.guard.requireWrite(request);
    if (path === undefined) throw new KilnError('invalid-input', 'Nothing can be stored under this name');
    return await store(call, path, uploadedBy);
  }
  await context.guard.requireRead(request);
  if (path === undefined) throw read.missing();
  return await send(call, path);
}

async function send(call: CacheCall, path: CachePath): Promise<FastifyReply> {
  switch (path.endpoint) {
    case 'info':
      return read.sendCacheInfo(call);
    case 'narinfo':
      return await read.sendNarInfo(call, path.hashPart);
    case 'listing':
      return await read.sendListing(call, path.hashPart);
    case 'store-nar':
      return await nar.sendStoreNar(call, path.hashPart, path.narHash);
    case 'file':
      return await nar.sendFile(call, path.fileHash, path.extension);
    case 'log':
      return await record.sendLog(call, path.drvPath);
    case 'realisation':
      return await record.sendRealisation(call, path.id, path.output);
    case 'build-trace':
      return await record.sendBuildTrace(call, path.drvPath, path.output);
    case 'debuginfo':
      throw read.missing();
  }
}

async function store(call: CacheCall, path: CachePath, uploadedBy: string): Promise<FastifyReply> {
  switch (path.endpoint) {
    case 'narinfo':
      return await upload.storeNarInfo(call, path.hashPart, uploadedBy);
    case 'file':
      return await upload.storeFile(call, path.fileHash);
    case 'log':
      return await record.storeLog(call, path.drvPath);
    case 'realisation':
      return await record.storeRealisation(call, path.id, path.output, uploadedBy);
    case 'build-trace':
      return await record.storeBuildTrace(call, path.drvPath, path.output, uploadedBy);
    case 'info':
    case 'listing':
    case 'debuginfo':
      // The cache's own description stands, and listings are made from the verified NAR.
      await receiveDecoded(call, MAX_IGNORED);
      return call.reply.status(200).send();
    case 'store-nar':
      throw new KilnError('invalid-input', 'Files are stored under their own hash, without a query');
  }
}

function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const response = errorResponse(error);
  if (response.status >= 500) request.log.error({ err: error }, 'cache request failed');
  const challenge = isKilnError(error) ? error.fields['challenge'] : undefined;
  if (typeof challenge === 'string') reply.header('www-authenticate', challenge);
  // What is left of a body that nobody will read must not be taken for the next request.
  if (!request.raw.complete) reply.header('connection', 'close');
  return reply
    .status(response.status)
    .headers({ ...response.headers, 'cache-control': 'no-store' })
    .send(response.body);
}
