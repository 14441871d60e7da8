/** Keeps lock files of strangers from making this machine ask its own network. */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { KilnError } from '../../base/error.ts';
import { classifyAddress } from '../../git/address-class.ts';

/**
 * Checks the host of an address that a lock file names. A name that does not resolve passes: it is replaced by the
 * configured registry, or the download fails by itself.
 * @throws KilnError forbidden
 */
export async function refusePrivateHost(address: string): Promise<void> {
  const host = new URL(address).hostname.replace(/^\[(.*)\]$/, '$1');
  const found = isIP(host) === 0 ? await lookup(host, { all: true }).catch(() => []) : [{ address: host }];
  const refused = found.find((entry) => classifyAddress(entry.address) !== 'public');
  if (refused === undefined) return;
  throw new KilnError('forbidden', 'The lock file names a host that is not on the internet', {
    where: new URL(address).origin,
    hint: 'Configure the registry on this machine instead (npm config set registry …), or build on the command line.',
  });
}
