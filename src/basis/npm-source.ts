/** Tarballs of the npm registry, from whatever registry this machine's npm configuration names. */
import pacote from 'pacote';
import { KilnError } from '../base/error.ts';
import { readNpmConfiguration } from '../npm/npm-configuration.ts';

export interface NpmRelease {
  readonly version: string;
  /** Subresource integrity, `sha512-…`. */
  readonly integrity: string;
}

export interface NpmRegistry {
  /** The newest version of `name` in `range`. @throws KilnError dependency-fetch */
  release(name: string, range: string): Promise<NpmRelease>;
  /** Writes the tarball to `file`. @throws KilnError dependency-fetch when it cannot be had or is not what `integrity` says */
  download(name: string, version: string, integrity: string, file: string): Promise<void>;
}

/** Asks the registry that the machine's npm configuration names, with its certificates, proxies and credentials. */
export async function openNpmRegistry(): Promise<NpmRegistry> {
  const common = { ...(await readNpmConfiguration()), preferOffline: true };
  return {
    async release(name, range) {
      const manifest = await pacote
        .manifest(`${name}@${range}`, { ...common, preferOffline: false, preferOnline: true })
        .catch((cause: unknown) => Promise.reject(failure(`${name}@${range}`, cause)));
      const integrity = manifest._integrity.split(' ').find((part) => part.startsWith('sha512-'));
      if (integrity === undefined) {
        throw new KilnError(
          'dependency-fetch',
          `the npm registry gives no SHA-512 for ${name}@${manifest.version}`,
        );
      }
      return { version: manifest.version, integrity };
    },
    async download(name, version, integrity, file) {
      await pacote.tarball
        .file(`${name}@${version}`, file, { ...common, integrity })
        .catch((cause: unknown) => Promise.reject(failure(`${name}@${version}`, cause)));
    },
  };
}

function failure(what: string, cause: unknown): KilnError {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  if (code === 'EINTEGRITY') {
    return new KilnError(
      'hash-mismatch',
      `the npm registry gave other bytes than the lock says for ${what}`,
      {
        hint: 'Try again; if it stays so, the registry or a proxy changes the file.',
        cause,
      },
    );
  }
  return new KilnError('dependency-fetch', `could not fetch ${what} from the npm registry`, {
    where: cause instanceof Error ? cause.message : String(cause),
    hint: 'Check `npm ping` and the registry in your npm configuration.',
    cause,
  });
}
