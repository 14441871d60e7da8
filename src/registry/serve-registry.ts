/** The registry's endpoints on an HTTP server: OCI distribution specification 1.1 below `/v2/`. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { isKilnError } from '../base/error.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { ociError } from '../catalog/oci-error.ts';
import { leaveBodiesRaw } from '../http/raw-bodies.ts';
import { DEFAULT_SPEED_LIMIT, type SpeedLimit } from '../http/receive-bytes.ts';
import * as blob from './blob-endpoints.ts';
import * as listing from './listing-endpoints.ts';
import * as manifest from './manifest-endpoints.ts';
import { ociErrorResponse } from './oci-error-response.ts';
import { permissionsOf, type RegistryAccess, requirePermission, unauthorized } from './registry-access.ts';
import type { RegistryAction } from './registry-permissions.ts';
import type { RegistryCall, RegistryContext, RepositoryCall } from './registry-context.ts';
import { parseRegistryPath, type RepositoryPath } from './registry-path.ts';
import { giveToken } from './token-endpoint.ts';
import * as upload from './upload-endpoints.ts';

export interface RegistryOptions {
  readonly catalog: Catalog;
  /** Default: open, which is right on a loopback address only. */
  readonly access?: RegistryAccess;
  /** Take manifests that name blobs or manifests which are not here. Default: refuse them with MANIFEST_BLOB_UNKNOWN. */
  readonly sparseManifests?: boolean;
  readonly speedLimit?: SpeedLimit;
  /** Bytes of one blob at most. Default: what the disk takes. */
  readonly maxUploadSize?: number;
}

/** Adds the routes. */
export function serveRegistry(app: FastifyInstance, options: RegistryOptions): void {
  const access = options.access ?? { kind: 'open' };
  const context: RegistryContext = {
    catalog: options.catalog,
    sparse: options.sparseManifests ?? false,
    speedLimit: options.speedLimit ?? DEFAULT_SPEED_LIMIT,
    maxUploadSize: options.maxUploadSize ?? Number.POSITIVE_INFINITY,
  };
  void app.register((scope, _options, done) => {
    leaveBodiesRaw(scope);
    scope.setErrorHandler((error, request, reply) => sendError(error, request, reply));
    const handler = (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> =>
      answer(context, access, request, reply);
    for (const url of ['/v2', '/v2/', '/v2/*']) {
      scope.route({ method: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'], url, handler });
    }
    done();
  });
}

async function answer(
  context: RegistryContext,
  access: RegistryAccess,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  reply.header('docker-distribution-api-version', 'registry/2.0').header('kiln-registry', '1');
  const path = parseRegistryPath(request.raw.url ?? '');
  const query = new URLSearchParams(request.raw.url?.split('?').slice(1).join('?') ?? '');
  if (path.endpoint === 'token') {
    if (request.method !== 'GET') throw wrongMethod(request);
    return await giveToken(request, reply, access, query);
  }
  const permissions = await permissionsOf(request, access);
  const call: RegistryCall = { context, request, reply, permissions, query };
  if (path.endpoint === 'base') {
    // Clients learn here whether and how to log in, also where pulling needs no login.
    if (access.kind === 'token' && request.headers.authorization === undefined) {
      throw unauthorized(request, access, undefined, 'Authorization is needed');
    }
    return reply.send({});
  }
  if (path.endpoint === 'catalog') {
    requirePermission(request, access, permissions, '*', ['pull']);
    return await listing.sendRepositories(call);
  }
  requirePermission(request, access, permissions, path.repository, actionsFor(request.method));
  return await dispatch({ ...call, repository: path.repository }, path);
}

function dispatch(call: RepositoryCall, path: RepositoryPath): Promise<FastifyReply> {
  const { method } = call.request;
  const reading = method === 'GET' || method === 'HEAD';
  switch (path.endpoint) {
    case 'manifest':
      if (reading) return manifest.sendManifest(call, path.reference);
      if (method === 'PUT') return manifest.storeManifest(call, path.reference);
      if (method === 'DELETE') return manifest.removeManifest(call, path.reference);
      break;
    case 'blob':
      if (reading) return blob.sendBlob(call, path.digest);
      if (method === 'DELETE') return blob.removeBlob(call, path.digest);
      break;
    case 'uploads':
      if (method === 'POST') return upload.startUpload(call);
      break;
    case 'upload':
      if (reading) return upload.sendUploadStatus(call, path.id);
      if (method === 'PATCH') return upload.appendToUpload(call, path.id);
      if (method === 'PUT') return upload.finishUpload(call, path.id);
      if (method === 'DELETE') return upload.cancelUpload(call, path.id);
      break;
    case 'tags':
      if (reading) return listing.sendTags(call);
      break;
    case 'referrers':
      if (reading) return listing.sendReferrers(call, path.digest);
      break;
  }
  throw wrongMethod(call.request);
}

function actionsFor(method: string): RegistryAction[] {
  if (method === 'GET' || method === 'HEAD') return ['pull'];
  return method === 'DELETE' ? ['delete'] : ['pull', 'push'];
}

function wrongMethod(request: FastifyRequest): Error {
  return ociError('UNSUPPORTED', `${request.method} is not possible here`);
}

function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const response = ociErrorResponse(error);
  if (response.status >= 500) request.log.error({ err: error }, 'registry request failed');
  const challenge = isKilnError(error) ? error.fields['challenge'] : undefined;
  if (typeof challenge === 'string') reply.header('www-authenticate', challenge);
  // What is left of a body that nobody will read must not be taken for the next request.
  if (!request.raw.complete) reply.header('connection', 'close');
  return reply.status(response.status).headers(response.headers).send(response.body);
}
