/** Nix as the sources need it. */
import { basename } from 'node:path';
import { KilnError } from '../base/error.ts';
import type { Environment } from '../setup/kiln-home.ts';
import { addDirectory } from '../nix/add-to-store.ts';
import { instantiate } from '../nix/instantiate.ts';
import type { NixInstallation } from '../nix/nix-installation.ts';
import { nixFailure } from '../nix/nix-failure.ts';
import { realise } from '../nix/realise.ts';
import { NIX_COMMAND, runNix } from '../nix/run-nix.ts';
import type { StoreDatabase } from '../nix/store-database.ts';
import type { NixAccess } from '../source/source-context.ts';
import { choosePackageSet } from './package-set.ts';
import type { ProvideSources } from './provide-sources.ts';

export interface NixAccessOptions {
  readonly nix: NixInstallation;
  readonly store: StoreDatabase;
  readonly system: string;
  readonly env: Environment;
  readonly provide: ProvideSources;
  readonly onProgress?: (line: string) => void;
}

export function createNixAccess(options: NixAccessOptions): NixAccess {
  const { nix, store, env } = options;
  return {
    system: options.system,
    packageSetIdentity: async (choice) => (await choosePackageSet(choice, env)).identity,
    async addFixed(directory, signal) {
      const path = await addDirectory(nix, directory, basename(directory), signal);
      const info = await store.pathInfo(path);
      if (info === undefined)
        throw new KilnError('store-path-missing', `${path} vanished right after it was added`);
      return { path, hash: info.narHash };
    },
    async lockFlake(reference, signal) {
      const result = await runNix(
        nix,
        'nix',
        ['flake', 'metadata', '--json', ...NIX_COMMAND, '--', reference],
        signal === undefined ? {} : { signal },
      );
      if (result.exitCode !== 0) throw nixFailure('nix flake metadata', result);
      const metadata = JSON.parse(result.stdout) as { url?: string; locked?: { narHash?: string } };
      const narHash = metadata.locked?.narHash;
      const url = metadata.url ?? reference;
      if (narHash === undefined || url.includes('narHash=')) return url;
      return `${url}${url.includes('?') ? '&' : '?'}narHash=${encodeURIComponent(narHash)}`;
    },
    async programFolder(attribute, signal) {
      const packages = await choosePackageSet('auto', env);
      const { drvPath } = await instantiate(
        nix,
        { type: 'file', file: packages.location, attr: attribute, args: {} },
        {
          nixPath: { nixpkgs: packages.location },
          restricted: false,
          ...(signal === undefined ? {} : { signal }),
        },
      );
      await options.provide(drvPath, {
        ...(signal === undefined ? {} : { signal }),
        onProgress: (line) => options.onProgress?.(line),
      });
      const { outputs } = await realise(nix, drvPath, signal === undefined ? {} : { signal });
      const output = outputs['bin'] ?? outputs['out'];
      return output === undefined ? undefined : `${output}/bin`;
    },
  };
}
