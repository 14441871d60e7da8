/** What sources need, made of the real Git and the Nix on PATH. */
import { join } from 'node:path';
import { LOCAL_USER_POLICY } from '../../src/git/host-policy.ts';
import type { NixInstallation } from '../../src/nix/nix-installation.ts';
import { openStoreDatabase } from '../../src/nix/open-store-database.ts';
import { createGitAccess } from '../../src/pipeline/git-access.ts';
import { createNixAccess } from '../../src/pipeline/nix-access.ts';
import { createProvideSources } from '../../src/pipeline/provide-sources.ts';
import type { NixAccess, SourceContext } from '../../src/source/source-context.ts';

const SYSTEM = process.arch === 'arm64' ? 'aarch64-linux' : 'x86_64-linux';

/** With `nix` the package set is the basis; without it nothing can be downloaded or added to the store. */
export function sourceContext(folder: string, nix?: NixInstallation): SourceContext {
  return {
    workspace: join(folder, 'workspace'),
    depsCache: join(folder, 'dependencies'),
    git: createGitAccess({
      mirrorDir: join(folder, 'mirrors'),
      knownHostsFile: join(folder, 'known_hosts'),
      policy: LOCAL_USER_POLICY,
      userSettings: false,
    }),
    nix:
      nix === undefined
        ? withoutStore()
        : createNixAccess({
            nix,
            store: openStoreDatabase(nix),
            system: SYSTEM,
            env: process.env,
            provide: createProvideSources(nix, process.env),
          }),
    allowLocal: true,
  };
}

function withoutStore(): NixAccess {
  const unavailable = (): never => {
    throw new Error('This test was not meant to use the store');
  };
  return {
    system: SYSTEM,
    packageSetIdentity: async (choice) => choice,
    addFixed: unavailable,
    lockFlake: unavailable,
    programFolder: unavailable,
  };
}
