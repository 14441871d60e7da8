/** Contents of the small files in `/etc` that C libraries and programs read. */
import type { ImageUser } from './image-user.ts';

export const GROUP_ROOT = 0;

/** Without this file glibc does not look into /etc/hosts before it asks DNS. */
export const NSSWITCH =
  'passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\nservices: files\nprotocols: files\n';

export const PROTOCOLS =
  'ip 0 IP\nicmp 1 ICMP\ntcp 6 TCP\nudp 17 UDP\nipv6 41 IPv6\nipv6-icmp 58 IPv6-ICMP\nsctp 132 SCTP\n';

/** IANA names of services that programs look up by name. */
const PORTS: readonly (readonly [string, number, string])[] = [
  ['ftp', 21, 'tcp'], ['ssh', 22, 'tcp'], ['telnet', 23, 'tcp'], ['smtp', 25, 'tcp'], ['domain', 53, 'tcp'], ['domain', 53, 'udp'],
  ['http', 80, 'tcp'], ['kerberos', 88, 'udp'], ['pop3', 110, 'tcp'], ['ntp', 123, 'udp'], ['imap', 143, 'tcp'], ['snmp', 161, 'udp'],
  ['ldap', 389, 'tcp'], ['https', 443, 'tcp'], ['submissions', 465, 'tcp'], ['syslog', 514, 'udp'], ['submission', 587, 'tcp'],
  ['ldaps', 636, 'tcp'], ['imaps', 993, 'tcp'], ['pop3s', 995, 'tcp'], ['mysql', 3306, 'tcp'], ['postgresql', 5432, 'tcp'],
  ['amqp', 5672, 'tcp'], ['redis', 6379, 'tcp'],
]; // prettier-ignore

export const SERVICES = PORTS.map(([name, port, protocol]) => `${name} ${port}/${protocol}\n`).join('');

/** `/etc/passwd` and `/etc/group` with root, nobody, and the user of the image where it is neither. */
export function passwdFiles(user: ImageUser): Record<string, string> {
  const named = user.uid !== 0 && user.uid !== 65_534;
  const groupIsNew = user.gid !== 0 && user.gid !== 65_534;
  const passwd = [
    `root:x:0:${user.uid === 0 ? user.gid : 0}:root:/root:/bin/sh`,
    ...(named ? [`${user.name}:x:${user.uid}:${user.gid}:${user.name}:${user.home}:/bin/sh`] : []),
    `nobody:x:65534:65534:nobody:${user.uid === 65_534 ? user.home : '/var/empty'}:/bin/sh`,
  ];
  const group = ['root:x:0:', ...(groupIsNew ? [`${user.name}:x:${user.gid}:`] : []), 'nogroup:x:65534:'];
  return { '/etc/passwd': `${passwd.join('\n')}\n`, '/etc/group': `${group.join('\n')}\n` };
}
