/** What an IP address is for, so that a server does not fetch from its own network by mistake or on somebody's request. */
import { BlockList, isIP, isIPv4 } from 'node:net';

export type AddressClass = 'public' | 'loopback' | 'private' | 'link-local' | 'reserved';

/** IANA's special-purpose registries (RFC 6890 and its updates), as `class: networks`. */
const NETWORKS: Readonly<Record<Exclude<AddressClass, 'public'>, readonly string[]>> = {
  loopback: ['127.0.0.0/8', '::1/128'],
  private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', 'fc00::/7', 'fec0::/10'],
  'link-local': ['169.254.0.0/16', 'fe80::/10'],
  reserved: [
    '0.0.0.0/8',
    '192.0.0.0/24',
    '192.0.2.0/24',
    '192.88.99.0/24',
    '198.18.0.0/15',
    '198.51.100.0/24',
    '203.0.113.0/24',
    '224.0.0.0/4',
    '240.0.0.0/4',
    '::/128',
    '100::/64',
    '2001::/23',
    '2001:db8::/32',
    '3fff::/20',
    '5f00::/16',
    'ff00::/8',
  ],
};

const LISTS = Object.entries(NETWORKS).map(([name, networks]) => {
  const list = new BlockList();
  for (const network of networks) addNetwork(list, network);
  return { name: name as AddressClass, list };
});

/** @param address an IPv4 or IPv6 address in text form, without brackets or zone. Anything else counts as reserved. */
export function classifyAddress(address: string): AddressClass {
  if (isIP(address) === 0) return 'reserved';
  const family = isIPv4(address) ? 'ipv4' : 'ipv6';
  if (family === 'ipv6') {
    const inner = embeddedIPv4(address);
    if (inner !== undefined) return classifyAddress(inner);
  }
  return LISTS.find(({ list }) => list.check(address, family))?.name ?? 'public';
}

/** Adds `10.0.0.0/8` or a single address. @throws an error of Node for text that is neither */
export function addNetwork(list: BlockList, network: string): void {
  const [address = '', prefix] = network.split('/');
  const family = isIPv4(address) ? 'ipv4' : 'ipv6';
  if (prefix === undefined) list.addAddress(address, family);
  else list.addSubnet(address, Number(prefix), family);
}

/** The IPv4 address inside a mapped (`::ffff:0:0/96`), compatible (`::/96`), NAT64 (`64:ff9b::/96`) or 6to4 (`2002::/16`) one. */
function embeddedIPv4(address: string): string | undefined {
  const groups = expand(address);
  const text = (high: number, low: number): string =>
    [
      (groups[high] ?? 0) >> 8,
      (groups[high] ?? 0) & 255,
      (groups[low] ?? 0) >> 8,
      (groups[low] ?? 0) & 255,
    ].join('.');
  if (groups[0] === 0x2002) return text(1, 2);
  if (groups[0] === 0x64 && groups[1] === 0xff9b && groups.slice(2, 6).every((group) => group === 0))
    return text(6, 7);
  if (!groups.slice(0, 5).every((group) => group === 0)) return undefined;
  if (groups[5] === 0xffff) return text(6, 7);
  // `::` and `::1` are addresses of their own, the rest of ::/96 are deprecated IPv4-compatible ones.
  return groups[5] === 0 && (groups[6] !== 0 || (groups[7] ?? 0) > 1) ? text(6, 7) : undefined;
}

/** The eight 16-bit groups of a valid IPv6 address. */
function expand(address: string): number[] {
  // The URL parser writes any spelling, dotted tails included, as groups of hexadecimal digits.
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [head = '', tail] = canonical.split('::');
  const groups = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((group) => parseInt(group, 16));
  if (tail === undefined) return groups(head);
  const [left, right] = [groups(head), groups(tail)];
  return [...left, ...Array.from({ length: 8 - left.length - right.length }, () => 0), ...right];
}
