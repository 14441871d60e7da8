/** Who may read from and write to the cache: by network first, then by token. */
import { BlockList, isIP } from 'node:net';
import type { FastifyRequest } from 'fastify';
import { KilnError } from '../base/error.ts';
import { Secret } from '../base/secret.ts';

/** What a token permits here. */
export interface CacheIdentity {
  readonly name: string;
  readonly read: boolean;
  readonly write: boolean;
}

export interface CacheAccess {
  /** Networks (`192.168.0.0/16`) and addresses whose requests are answered at all. */
  readonly allowedClients: readonly string[];
  /** Networks and addresses of proxies whose `X-Forwarded-For` is believed. */
  readonly trustedProxies: readonly string[];
  /** Reading needs a token as well. */
  readonly readToken: boolean;
  /** Clients on this machine itself may write without a token. */
  readonly localWrites: boolean;
  /** Undefined: no such token. */
  readonly authenticate: (token: Secret) => Promise<CacheIdentity | undefined>;
}

export interface AccessGuard {
  /** @throws KilnError forbidden (network), unauthorized */
  requireRead(request: FastifyRequest): Promise<void>;
  /** @returns who writes, for the record. @throws KilnError forbidden, unauthorized */
  requireWrite(request: FastifyRequest): Promise<string>;
  mayWrite(request: FastifyRequest): Promise<boolean>;
  /** Address of the client, behind trusted proxies. @throws KilnError forbidden */
  clientOf(request: FastifyRequest): string;
}

/** @throws KilnError invalid-config */
export function createAccessGuard(access: CacheAccess): AccessGuard {
  const allowed = networksOf(access.allowedClients);
  const proxies = networksOf(access.trustedProxies);
  const clientOf = (request: FastifyRequest): string => {
    const client = clientAddress(request, proxies);
    if (isIn(allowed, client)) return client;
    throw new KilnError('forbidden', 'This cache does not serve your network', {
      hint: 'Whoever runs it can add the network to cache.allowedClients.',
    });
  };
  const identify = async (request: FastifyRequest): Promise<CacheIdentity | undefined> => {
    const token = tokenOf(request);
    return token === undefined ? undefined : await access.authenticate(token);
  };
  const requireWrite = async (request: FastifyRequest): Promise<string> => {
    const client = clientOf(request);
    const identity = await identify(request);
    if (identity?.write === true) return identity.name;
    if (identity === undefined && tokenOf(request) === undefined && access.localWrites && isLoopback(client))
      return 'this machine';
    throw refusal(identity, 'write to');
  };
  return {
    clientOf,
    requireWrite,
    async requireRead(request) {
      const client = clientOf(request);
      if (!access.readToken || (isLoopback(client) && access.localWrites)) return;
      const identity = await identify(request);
      if (identity === undefined || !identity.read) throw refusal(identity, 'read from');
    },
    mayWrite: async (request) =>
      await requireWrite(request).then(
        () => true,
        () => false,
      ),
  };
}

function refusal(identity: CacheIdentity | undefined, what: string): KilnError {
  if (identity !== undefined)
    return new KilnError('forbidden', `The token ${identity.name} may not ${what} the cache`, {
      hint: 'It needs the scope "@cache:pull" to read, "@cache:push" to write.',
    });
  return new KilnError('unauthorized', `A token is needed to ${what} this cache`, {
    hint: 'Have one made (kiln token create NAME --scope @cache:pull,push) and put it as the password into the netrc file that nix.conf names.',
    fields: { challenge: 'Basic realm="kiln cache"' },
  });
}

/** The password of Basic credentials, whatever their user name, or a bearer token. */
function tokenOf(request: FastifyRequest): Secret | undefined {
  const header = request.headers.authorization ?? '';
  const bearer = /^Bearer +(\S+)$/i.exec(header)?.[1];
  if (bearer !== undefined) return new Secret(bearer);
  const encoded = /^Basic +([A-Za-z0-9+/=_-]+)$/i.exec(header)?.[1];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon < 0 ? undefined : new Secret(text.slice(colon + 1));
}

/** Walks `X-Forwarded-For` from the right for as long as proxies that are trusted vouch for the next address. */
function clientAddress(request: FastifyRequest, proxies: BlockList): string {
  let client = plainAddress(request.socket.remoteAddress ?? '');
  const header = request.headers['x-forwarded-for'];
  const text = Array.isArray(header) ? header.join(',') : header;
  if (text === undefined && request.headers['forwarded'] === undefined) return client;
  if (!isIn(proxies, client)) {
    // An unknown proxy on this machine would make the whole world look local.
    if (!isLoopback(client)) return client;
    throw new KilnError('forbidden', 'A proxy on this machine passed this on, and it is not known here', {
      hint: 'Add "127.0.0.1" (or "::1") to cache.trustedProxies, and let the proxy set X-Forwarded-For.',
    });
  }
  for (const hop of (text ?? '').split(',').reverse()) {
    if (!isIn(proxies, client)) break;
    const address = plainAddress(hop.trim());
    if (isIP(address) === 0)
      throw new KilnError('forbidden', 'The proxy does not state whose request this is');
    client = address;
  }
  return client;
}

function networksOf(texts: readonly string[]): BlockList {
  const list = new BlockList();
  for (const text of texts) {
    const [address = '', prefix, ...rest] = text.split('/');
    const version = isIP(address);
    const bits = prefix === undefined ? (version === 6 ? 128 : 32) : Number(prefix);
    const valid =
      version !== 0 &&
      rest.length === 0 &&
      /^\d{1,3}$/.test(prefix ?? '0') &&
      bits <= (version === 6 ? 128 : 32);
    if (!valid)
      throw new KilnError('invalid-config', `"${text}" is neither an address nor a network`, {
        hint: 'Write it like "192.168.0.0/16".',
      });
    list.addSubnet(address, bits, version === 6 ? 'ipv6' : 'ipv4');
  }
  return list;
}

function isIn(list: BlockList, address: string): boolean {
  const version = isIP(address);
  return version !== 0 && list.check(address, version === 6 ? 'ipv6' : 'ipv4');
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}

/** Without the IPv6 spelling of IPv4 addresses and without a zone. */
function plainAddress(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '');
}
