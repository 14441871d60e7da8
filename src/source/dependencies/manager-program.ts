/** The package manager's own program, where the packaged one does not read the lock: downloaded beside the dependencies. */
import type { PackageJson } from '../templates/package-json.ts';
import type { TreeReader } from '../tree/tree-reader.ts';
import type { LockedNpmPackage } from './npm-lock.ts';

export interface ManagerProgram {
  /** What to download; absent where the repository has the program itself. */
  readonly download?: LockedNpmPackage;
  /** JavaScript file: in the unpacked package, or in the repository. */
  readonly file: string;
}

/** pnpm refuses the locks of versions before 9, each newer program those of the older ones. */
export function pnpmFor(lock: string): ManagerProgram | undefined {
  const version = Number(/^lockfileVersion:\s*['"]?(\d+)/m.exec(lock)?.[1]);
  if (version >= 9) return undefined;
  return version >= 6
    ? managed(
        'pnpm',
        '8.15.9',
        'bin/pnpm.cjs',
        'sha512-SZQ0ydj90aJ5Tr9FUrOyXApjOrzuW7Fee13pDzL0e1E6ypjNXP0AHDHw20VLw4BO3M1XhQHkyik6aBYWa72fgQ==',
      )
    : managed(
        'pnpm',
        '7.33.7',
        'bin/pnpm.cjs',
        'sha512-ev4kEGQrOcaY30baTOXHIxpczjYGmNafjPj0IlfUCz5D8jEFOwe43oSf1P+/SnH/V7g1E3d3o1I4jz09p0cgDg==',
      );
}

/** Checksums in a lock of yarn 2 and newer are of archives that yarn packs itself: its version has to be the application's. */
export async function yarnBerryFor(tree: TreeReader, manifest: PackageJson): Promise<ManagerProgram> {
  const settings = (await tree.read('.yarnrc.yml')) ?? '';
  const own = /^yarnPath:\s*["']?([\w./@+-]+)/m.exec(settings)?.[1];
  if (own !== undefined && tree.has(own)) return { file: own };
  const named = /^yarn@([2-9][\d.]*)/.exec(manifest.packageManager ?? '')?.[1];
  return named === undefined || named === '4.9.2'
    ? managed(
        '@yarnpkg/cli-dist',
        '4.9.2',
        'bin/yarn.js',
        'sha512-qrMyWzvEnWhaWOflvE1pGxWGiVOPsO/q4XfGCeRPnLU8ECkvhrhJEfCNakcy3s3VHcApBASQ4fmL0sOEw6xtZQ==',
      )
    : managed('@yarnpkg/cli-dist', named, 'bin/yarn.js', undefined);
}

function managed(name: string, version: string, file: string, integrity: string | undefined): ManagerProgram {
  return {
    file,
    download: {
      // No place in any tree: it is not installed.
      location: `manager:${name}`,
      name,
      version,
      optional: false,
      ...(integrity === undefined ? {} : { integrity }),
    },
  };
}
