/** Where this machine gets Debian packages from, read from its own apt configuration. */
import { access } from 'node:fs/promises';
import { KilnError } from '../base/error.ts';
import { runProcess } from '../process/run-process.ts';

export interface ArchiveLocation {
  /** Root of the main archive, without a slash at the end. */
  readonly main: string;
  /** Root of the security archive, if the machine uses one. */
  readonly security?: string;
  /** File with the keys that sign both. */
  readonly keyring: string;
}

const KEYRINGS = [
  '/usr/share/keyrings/debian-archive-keyring.pgp',
  '/usr/share/keyrings/debian-archive-keyring.gpg',
  '/etc/apt/trusted.gpg.d/debian-archive-keyring.gpg',
];

/**
 * Finds the Debian archive that the machine's apt sources (of either format) name, most likely first.
 * `KILN_DEBIAN_ARCHIVE` (one URI) takes precedence; it may name a dated snapshot of the archive.
 * @throws KilnError tool-missing when the machine has no apt, no Debian source or no Debian keyring
 */
export async function findArchives(
  options: { readonly signal?: AbortSignal; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<ArchiveLocation[]> {
  const env = options.env ?? process.env;
  const keyring = await findKeyring();
  const own = env['KILN_DEBIAN_ARCHIVE'];
  if (own !== undefined && own !== '') return [{ main: withoutSlash(own), keyring }];
  // Prints what an update would fetch: both formats of sources are read by apt itself, and no lists are needed.
  const printed = await runProcess('apt-get', ['update', '--print-uris'], {
    env: { ...env, LC_ALL: 'C' },
    signal: options.signal,
  });
  const archives = archivesOf(printed.stdout, keyring);
  if (archives.length > 0) return archives;
  throw new KilnError('tool-missing', 'the apt sources of this machine name no Debian archive', {
    hint: 'Set KILN_DEBIAN_ARCHIVE to the URI of a Debian mirror, or install Nix 2.24 or newer yourself.',
  });
}

/** The archives in what `apt-get update --print-uris` printed; those that look like Debian's own come first. */
export function archivesOf(printed: string, keyring: string): ArchiveLocation[] {
  const suitesOf = new Map<string, Set<string>>();
  for (const match of printed.matchAll(/^'([^']+)\/dists\/([^']+?)\/InRelease'/gm)) {
    const [, uri = '', suite = ''] = match;
    suitesOf.set(uri, (suitesOf.get(uri) ?? new Set()).add(decodeURIComponent(suite)));
  }
  const uris = [...suitesOf.keys()];
  const has = (uri: string, pattern: RegExp): boolean =>
    [...(suitesOf.get(uri) ?? [])].some((s) => pattern.test(s));
  const security = uris.find((uri) => has(uri, /^[a-z]+(-security|\/updates)$/));
  // Other vendors name their suites after Debian's too; only Debian has the -updates suite beside them.
  const rank = (uri: string): number => (has(uri, /^[a-z]+-updates$/) ? 0 : uri.endsWith('/debian') ? 1 : 2);
  return uris
    .filter((uri) => has(uri, /^[a-z]+$/))
    .toSorted((a, b) => rank(a) - rank(b))
    .map((main) => ({ main, keyring, ...(security === undefined ? {} : { security }) }));
}

async function findKeyring(): Promise<string> {
  for (const file of KEYRINGS) {
    if (
      await access(file).then(
        () => true,
        () => false,
      )
    )
      return file;
  }
  throw new KilnError('tool-missing', "the keys of Debian's archive are not on this machine", {
    hint: 'Install the package debian-archive-keyring, or install Nix 2.24 or newer yourself.',
  });
}

const withoutSlash = (uri: string): string => uri.replace(/\/+$/, '');
