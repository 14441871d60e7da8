/** What every endpoint of the registry gets. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { RepositoryName } from '../base/brand.ts';
import type { Catalog } from '../catalog/catalog.ts';
import type { SpeedLimit } from '../http/receive-bytes.ts';
import type { Permissions } from './registry-permissions.ts';

export interface RegistryContext {
  readonly catalog: Catalog;
  /** Take manifests that name what is not here. */
  readonly sparse: boolean;
  readonly speedLimit: SpeedLimit;
  /** Bytes of one blob. */
  readonly maxUploadSize: number;
}

export interface RegistryCall {
  readonly context: RegistryContext;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly permissions: Permissions;
  readonly query: URLSearchParams;
}

export interface RepositoryCall extends RegistryCall {
  readonly repository: RepositoryName;
}
