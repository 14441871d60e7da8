/** Finds where a repository has moved. git itself follows nothing, because a redirect could lead to a host that is not allowed. */
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP, isIPv6 } from 'node:net';
import { KilnError } from '../base/error.ts';
import { authorizationHeader } from './git-credentials.ts';
import { origin } from './git-environment.ts';
import type { GitSession } from './git-session.ts';
import { parseGitUrl, type GitUrl } from './git-url.ts';
import { proxyFor } from './host-policy.ts';

const SUFFIX = '/info/refs?service=git-upload-pack';
const TIMEOUT_MS = 20_000;

/**
 * Asks once and returns the address of the redirect, which the caller must check like any other.
 * @returns undefined when there is none that git could use
 * @throws KilnError git-url for a redirect to another transport
 */
export async function redirectTarget(session: GitSession): Promise<GitUrl | undefined> {
  const { url } = session;
  if ((url.scheme !== 'https' && url.scheme !== 'http') || proxyFor(url) !== undefined) return undefined;
  const location = await askLocation(session).catch(() => undefined);
  const target = location === undefined ? null : URL.parse(location, `${origin(url)}${url.path}${SUFFIX}`);
  if (target === null || !target.href.endsWith(SUFFIX)) return undefined;
  const next = parseGitUrl(target.href.slice(0, -SUFFIX.length));
  if (url.scheme === 'https' && next.scheme !== 'https') {
    throw new KilnError(
      'git-url',
      'The address redirects from https:// to an address that is not encrypted',
      {
        where: `${url.href} → ${next.href}`,
        hint: 'Use the https:// address of the repository.',
      },
    );
  }
  return next;
}

/** Credentials go with a redirect only when it stays on the host, or leads to the encrypted form of the same host. */
export function keepsCredentials(from: GitUrl, to: GitUrl): boolean {
  if (from.host !== to.host) return false;
  return (
    (from.scheme === to.scheme && from.port === to.port) ||
    (from.scheme === 'http' && to.scheme === 'https' && to.port === 443)
  );
}

async function askLocation(session: GitSession): Promise<string | undefined> {
  const { url, addresses, access } = session;
  const header = authorizationHeader(url, access.credentials ?? {});
  const address = addresses[0];
  const { promise, resolve, reject } = Promise.withResolvers<string | undefined>();
  const signal = AbortSignal.any([
    AbortSignal.timeout(TIMEOUT_MS),
    ...(access.signal === undefined ? [] : [access.signal]),
  ]);
  const ask = url.scheme === 'https' ? httpsRequest : httpRequest;
  const request = ask(
    `${origin(url)}${url.path}${SUFFIX}`,
    {
      signal,
      headers: {
        'user-agent': 'git/kiln',
        ...(header === undefined ? {} : { authorization: header.reveal() }),
      },
      ...(address === undefined || isIP(url.host) !== 0
        ? {}
        : {
            lookup: (_host, options, done) => {
              const family = isIPv6(address) ? 6 : 4;
              if (options.all === true) done(null, [{ address, family }]);
              else done(null, address, family);
            },
          }),
    },
    (response) => {
      const status = response.statusCode ?? 0;
      response.destroy();
      resolve(status >= 300 && status < 400 ? response.headers.location : undefined);
    },
  );
  request.on('error', reject);
  request.end();
  return await promise;
}
