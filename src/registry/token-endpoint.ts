/** `GET /v2/token?service=…&scope=…`: exchanges credentials for a token with scopes. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ociError } from '../catalog/oci-error.ts';
import { type Grant, issueAccessToken, parseScope } from './access-token.ts';
import { permissionsOf, type RegistryAccess } from './registry-access.ts';

const TOKEN_TTL_MS = 5 * 60_000;
const MAX_SCOPES = 100;

/** Grants what the credentials allow out of what is asked; a client learns of the rest by the refusal of its request. */
export async function giveToken(
  request: FastifyRequest,
  reply: FastifyReply,
  access: RegistryAccess,
  query: URLSearchParams,
): Promise<FastifyReply> {
  if (access.kind === 'open') throw ociError('UNSUPPORTED', 'This registry is open and gives no tokens');
  const permissions = await permissionsOf(request, access);
  const scopes = query.getAll('scope').flatMap((scope) => scope.split(' '));
  if (scopes.length > MAX_SCOPES)
    throw ociError('UNSUPPORTED', `At most ${MAX_SCOPES} scopes can be asked for at once`);
  const grants = scopes
    .map(parseScope)
    .filter((grant): grant is Grant => grant !== undefined)
    .map(({ repository, actions }) => ({
      repository,
      actions: actions.filter((action) => permissions.allows(repository, action)),
    }));
  const now = Date.now();
  const token = issueAccessToken(
    { sub: permissions.name ?? '', access: grants, exp: now + TOKEN_TTL_MS },
    access.tokenKey,
  );
  return reply.header('cache-control', 'no-store').send({
    token,
    access_token: token,
    expires_in: TOKEN_TTL_MS / 1000,
    issued_at: new Date(now).toISOString(),
  });
}
