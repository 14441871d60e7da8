/** Who may use a server: what its settings say, and the refusal to be open to a network by accident. */
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { KilnError, systemErrorCode } from '../base/error.ts';
import { Secret } from '../base/secret.ts';
import type { ServerSettings } from '../config/server-settings.ts';
import type { Database } from '../db/database.ts';
import { scopesAllow } from '../registry/access-scope.ts';
import {
  basicCredentials,
  type RegistryAccess,
  type RegistryCredentials,
  type RegistryIdentity,
} from '../registry/registry-access.ts';
import { findToken } from '../registry/token-store.ts';
import { UserFile } from '../registry/user-file.ts';

const MIN_KEY_BYTES = 32;

/** @throws KilnError invalid-config where an address of the network would be served to everybody */
export function demandAccessControl(settings: ServerSettings, host: string): void {
  if (isLoopback(host) || settings.registry.access !== undefined) return;
  throw new KilnError(
    'invalid-config',
    `${host} can be reached over the network, and nobody would be asked who they are`,
    {
      where: 'listen',
      hint: 'Set registry.access = "token" in kiln.toml and make a token (kiln token create NAME --scope api), or write registry.access = "open" if everybody may use it.',
    },
  );
}

/** @throws KilnError invalid-config */
export async function openServerAccess(settings: ServerSettings, db: Database): Promise<RegistryAccess> {
  const { access, anonymousPull, usersFile } = settings.registry;
  if (access !== 'token') return { kind: 'open' };
  const users = usersFile === undefined ? undefined : new UserFile(usersFile);
  await users?.load();
  const authenticate = async (credentials: RegistryCredentials): Promise<RegistryIdentity | undefined> => {
    const token = await findToken(db, credentials.password);
    if (token === undefined) return await users?.authenticate(credentials);
    return {
      name: token.name,
      allows: (repository, action) => scopesAllow(token.scopes, repository, action),
    };
  };
  return {
    kind: 'token',
    anonymousPull,
    tokenKey: await readTokenKey(settings),
    authenticate,
    ...(settings.url === undefined ? {} : { publicUrl: settings.url }),
  };
}

/**
 * The API of a server with access control takes a token with the scope `api`, or comes from this machine itself. A request
 * that a proxy passed on comes from elsewhere, and one for a foreign host name may come from a page in somebody's browser.
 */
export function guardApi(app: FastifyInstance, settings: ServerSettings, db: () => Promise<Database>): void {
  if (settings.registry.access !== 'token') return;
  app.addHook('onRequest', async (request) => {
    if (!request.url.startsWith('/api/') || isFromHere(request)) return;
    const header = request.headers.authorization ?? '';
    const bearer = /^Bearer +(\S+)$/i.exec(header)?.[1];
    const secret = bearer === undefined ? basicCredentials(header)?.password : new Secret(bearer);
    const token = secret === undefined ? undefined : await findToken(await db(), secret);
    if (token === undefined) {
      throw new KilnError('unauthorized', 'This server takes requests with a token only', {
        hint: 'Have one made on the server (kiln token create NAME --scope api) and set KILN_TOKEN to it.',
      });
    }
    if (!token.scopes.some((scope) => scope.kind === 'api'))
      throw new KilnError('forbidden', `The token ${token.name} is not for the API`, {
        hint: 'It needs the scope "api".',
      });
  });
}

/** A request that was made on this machine to this machine. */
function isFromHere(request: FastifyRequest): boolean {
  const forwarded =
    request.headers['x-forwarded-for'] ?? request.headers['forwarded'] ?? request.headers['via'];
  return (
    forwarded === undefined &&
    isLoopback(request.socket.remoteAddress ?? '') &&
    isLoopback(request.hostname.replace(/^\[|\]$/g, ''))
  );
}

export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^(?:::ffff:)?127(?:\.\d{1,3}){3}$/.test(host);
}

/** Of the file that the settings name, else one of this server's own, made the first time. */
async function readTokenKey(settings: ServerSettings): Promise<Secret> {
  const named = settings.registry.tokenKeyFile;
  const file = named ?? join(settings.home, 'registry', 'token-key');
  if (named === undefined) {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 });
    await writeFile(file, randomBytes(48).toString('base64'), { flag: 'wx', mode: 0o600 }).catch(
      (error: unknown) => {
        if (systemErrorCode(error) !== 'EEXIST') throw error;
      },
    );
  }
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new KilnError('invalid-config', 'The key for access tokens cannot be read', { where: file, cause });
  });
  if (text.trim().length >= MIN_KEY_BYTES) return new Secret(text.trim());
  throw new KilnError('invalid-config', 'The key for access tokens is too short', {
    where: file,
    hint: `Write at least ${MIN_KEY_BYTES} random characters into it, or remove it to have one made.`,
  });
}
