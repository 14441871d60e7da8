/** Which hosts may be asked for a repository. The answer holds the addresses that were checked, so that exactly those are used. */
import { lookup } from 'node:dns/promises';
import { BlockList, isIP, isIPv4 } from 'node:net';
import { KilnError, systemErrorCode } from '../base/error.ts';
import { addNetwork, classifyAddress, type AddressClass } from './address-class.ts';
import type { GitUrl } from './git-url.ts';

export interface HostPolicy {
  /** Hosts that may be used whatever their addresses: names, `*.example.org`, addresses, networks (`10.0.0.0/8`). Also allows http:// to them. */
  readonly allowedHosts?: readonly string[];
  /** Allows this machine itself (127.0.0.0/8, ::1), also over http://. */
  readonly allowLoopback?: boolean;
  /** For somebody who runs Kiln under their own account: any host. */
  readonly allowAnyHost?: boolean;
  /** `file://` and plain paths; see `parseGitUrl`. */
  readonly allowLocal?: boolean;
  /** Name resolution; the system's by default. */
  readonly resolve?: (host: string) => Promise<readonly string[]>;
}

/** Somebody at their own machine: their paths, their network. Never for requests that come over the network. */
export const LOCAL_USER_POLICY: HostPolicy = { allowAnyHost: true, allowLocal: true, allowLoopback: true };

const REASONS: Readonly<Record<Exclude<AddressClass, 'public'>, string>> = {
  loopback: 'this machine itself',
  private: 'a private network',
  'link-local': 'a link-local address, where cloud machines keep their metadata and credentials',
  reserved: 'an address that no server on the internet has',
};
const METADATA_NAMES = new Set([
  'metadata',
  'metadata.google.internal',
  'instance-data',
  'instance-data.ec2.internal',
]);
const LOOPBACK_NAME = /^(?:localhost|.*\.localhost|localhost\.localdomain|ip6-localhost|ip6-loopback)$/;

/**
 * Checks the host of `url` by name and by every address that it resolves to.
 * @returns the addresses to connect to; empty for `file`, and where the name cannot be resolved but a proxy will do it
 * @throws KilnError git-host-refused, git-network
 */
export async function checkHost(
  url: GitUrl,
  policy: HostPolicy,
  signal?: AbortSignal,
): Promise<readonly string[]> {
  if (url.scheme === 'file') return [];
  const listed = policy.allowAnyHost === true || isListed(url.host, policy.allowedHosts ?? []);
  checkNames(url, policy, listed);
  if (isIP(url.host) !== 0) {
    checkAddress(url, url.host, policy, listed);
    return [url.host];
  }
  const addresses = await resolveHost(url, policy, signal);
  for (const address of addresses) checkAddress(url, address, policy, listed);
  return addresses;
}

/** The checks of {@link checkHost} that need no network. @throws KilnError git-host-refused */
export function checkHostName(url: GitUrl, policy: HostPolicy): void {
  if (url.scheme === 'file') return;
  const listed = policy.allowAnyHost === true || isListed(url.host, policy.allowedHosts ?? []);
  checkNames(url, policy, listed);
  if (isIP(url.host) !== 0) checkAddress(url, url.host, policy, listed);
}

/** The proxy of the environment that git would use for `url`, if any. */
export function proxyFor(url: GitUrl, env: NodeJS.ProcessEnv = process.env): string | undefined {
  if (url.scheme !== 'https' && url.scheme !== 'http') return undefined;
  const proxy = url.scheme === 'https' ? (env['https_proxy'] ?? env['HTTPS_PROXY']) : env['http_proxy']; // curl ignores HTTP_PROXY
  const chosen = proxy ?? env['all_proxy'] ?? env['ALL_PROXY'];
  if (chosen === undefined || chosen === '') return undefined;
  const exempt = (env['no_proxy'] ?? env['NO_PROXY'] ?? '')
    .split(',')
    .map((entry) => entry.trim().replace(/^\./, ''));
  const direct = exempt.some(
    (entry) => entry === '*' || (entry !== '' && (url.host === entry || url.host.endsWith(`.${entry}`))),
  );
  return direct ? undefined : chosen;
}

function checkNames(url: GitUrl, policy: HostPolicy, listed: boolean): void {
  const loopback =
    LOOPBACK_NAME.test(url.host) || (isIP(url.host) !== 0 && classifyAddress(url.host) === 'loopback');
  if (url.scheme === 'http' && !listed && !(loopback && policy.allowLoopback === true)) {
    throw new KilnError(
      'git-host-refused',
      `http:// is not encrypted and ${url.host} is not an allowed host`,
      {
        where: url.href,
        hint: `Use https://, or add "${url.host}" to git.allowedHosts in the server's kiln.toml.`,
      },
    );
  }
  if (listed) return;
  if (METADATA_NAMES.has(url.host)) throw refused(url, REASONS['link-local']);
  if (LOOPBACK_NAME.test(url.host) && policy.allowLoopback !== true) throw refused(url, REASONS.loopback);
}

function checkAddress(url: GitUrl, address: string, policy: HostPolicy, listed: boolean): void {
  if (listed || isInNetwork(address, policy.allowedHosts ?? [])) return;
  const kind = classifyAddress(address);
  if (kind === 'public' || (kind === 'loopback' && policy.allowLoopback === true)) return;
  const through = address === url.host ? '' : ` (${address})`;
  throw refused(url, `${REASONS[kind]}${through}`);
}

function refused(url: GitUrl, reason: string): KilnError {
  return new KilnError('git-host-refused', `The host ${url.host} is refused: it is ${reason}`, {
    where: url.href,
    hint: `If this is meant, add "${url.host}" to git.allowedHosts in the server's kiln.toml.`,
  });
}

function isListed(host: string, allowed: readonly string[]): boolean {
  return allowed.some((entry) => {
    const wanted = entry.toLowerCase().replace(/\.$/, '');
    return wanted.startsWith('*.') ? host.endsWith(wanted.slice(1)) : host === wanted;
  });
}

function isInNetwork(address: string, allowed: readonly string[]): boolean {
  const list = new BlockList();
  for (const entry of allowed) {
    if (/^[\da-f.:]+(?:\/\d{1,3})?$/i.test(entry) && isIP(entry.split('/')[0] ?? '') !== 0)
      addNetwork(list, entry);
  }
  return list.check(address, isIPv4(address) ? 'ipv4' : 'ipv6');
}

async function resolveHost(
  url: GitUrl,
  policy: HostPolicy,
  signal?: AbortSignal,
): Promise<readonly string[]> {
  const resolve =
    policy.resolve ?? (async (host) => (await lookup(host, { all: true })).map((entry) => entry.address));
  try {
    return await abortable(resolve(url.host), signal);
  } catch (error) {
    if (signal?.aborted === true) throw new KilnError('cancelled', `Looking up ${url.host} was cancelled`);
    // Behind a proxy, or with an alias of the user's own SSH settings, the name need not exist here.
    if (proxyFor(url) !== undefined || (policy.allowAnyHost === true && url.scheme === 'ssh')) return [];
    const unknown = systemErrorCode(error) === 'ENOTFOUND';
    throw new KilnError(
      'git-network',
      unknown ? `The host ${url.host} does not exist` : `The host ${url.host} could not be looked up`,
      {
        where: url.href,
        hint: unknown
          ? 'Check the spelling of the host, and that this machine has DNS and network.'
          : "Check this machine's DNS settings and network, then try again.",
        cause: error,
      },
    );
  }
}

async function abortable<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await work;
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(new KilnError('cancelled', 'cancelled'));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
