/** Who may do what with which repository: open, or tokens with scopes (Docker's token protocol) and Basic. */
import type { FastifyRequest } from 'fastify';
import { Secret } from '../base/secret.ts';
import { ociError } from '../catalog/oci-error.ts';
import type { KilnError } from '../base/error.ts';
import { readAccessToken } from './access-token.ts';
import type { Permissions, RegistryAction } from './registry-permissions.ts';

/** Somebody who gave credentials. `*` as the repository asks for the list of all. */
export interface RegistryIdentity {
  readonly name: string;
  allows(repository: string, action: RegistryAction): boolean;
}

export interface RegistryCredentials {
  readonly username: string;
  /** A user's password or an API token. */
  readonly password: Secret;
}

export type RegistryAccess =
  | { readonly kind: 'open' }
  | {
      readonly kind: 'token';
      readonly anonymousPull: boolean;
      /** At least 32 bytes; signs the tokens that `/v2/token` gives out. */
      readonly tokenKey: Secret;
      /** URL that clients see, without a path; default: from the request. */
      readonly publicUrl?: string;
      /** Undefined: wrong credentials. */
      readonly authenticate: (credentials: RegistryCredentials) => Promise<RegistryIdentity | undefined>;
    };

const SERVICE = 'kiln';
const EVERYTHING: Permissions = { allows: () => true };
const NOTHING: Permissions = { allows: () => false };
const PULL_ONLY: Permissions = { allows: (repository, action) => action === 'pull' && repository !== '*' };

/** What the request's credentials permit; none permit what anonymous clients may. @throws KilnError UNAUTHORIZED */
export async function permissionsOf(request: FastifyRequest, access: RegistryAccess): Promise<Permissions> {
  if (access.kind === 'open') return EVERYTHING;
  const header = request.headers.authorization;
  if (header === undefined) return access.anonymousPull ? PULL_ONLY : NOTHING;
  const bearer = /^Bearer +(\S+)$/i.exec(header)?.[1];
  if (bearer !== undefined) {
    const permissions = readAccessToken(bearer, access.tokenKey, Date.now());
    if (permissions !== undefined) return permissions;
    throw unauthorized(request, access, undefined, 'The token is not valid or no longer so');
  }
  const credentials = basicCredentials(header);
  const identity = credentials === undefined ? undefined : await access.authenticate(credentials);
  if (identity === undefined)
    throw unauthorized(request, access, undefined, 'Wrong user name, password or token');
  return identity;
}

/** @throws KilnError UNAUTHORIZED (with the challenge that tells a client what to ask for), DENIED */
export function requirePermission(
  request: FastifyRequest,
  access: RegistryAccess,
  permissions: Permissions,
  repository: string,
  actions: readonly RegistryAction[],
): void {
  if (access.kind === 'open' || actions.every((action) => permissions.allows(repository, action))) return;
  const scope = repository === '*' ? 'registry:catalog:*' : `repository:${repository}:${actions.join(',')}`;
  const basic = /^Basic /i.test(request.headers.authorization ?? '');
  if (basic)
    throw ociError('DENIED', `${permissions.name ?? 'You'} may not ${actions.join(' and ')} ${repository}`);
  throw unauthorized(request, access, scope, `${actions.join(' and ')} of ${repository} needs authorization`);
}

export function unauthorized(
  request: FastifyRequest,
  access: Extract<RegistryAccess, { kind: 'token' }>,
  scope: string | undefined,
  message: string,
): KilnError {
  const base = access.publicUrl?.replace(/\/+$/, '') ?? `${request.protocol}://${request.host}`;
  const challenge = [
    `Bearer realm="${base}/v2/token"`,
    `service="${SERVICE}"`,
    ...(scope === undefined ? [] : [`scope="${scope}"`]),
    ...(scope !== undefined && request.headers.authorization !== undefined
      ? ['error="insufficient_scope"']
      : []),
  ].join(',');
  return ociError('UNAUTHORIZED', message, { hint: 'Log in to the registry.', fields: { challenge } });
}

export function basicCredentials(header: string): RegistryCredentials | undefined {
  const encoded = /^Basic +([A-Za-z0-9+/=_-]+)$/i.exec(header)?.[1];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  if (colon < 0) return undefined;
  return { username: text.slice(0, colon), password: new Secret(text.slice(colon + 1)) };
}
