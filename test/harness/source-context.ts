/** What sources need, made of the real Git and the Nix on PATH. */
import { join } from 'node:path';
import type { NixInstallation } from '../../src/nix/nix-installation.ts';
import { gitSourceAccess } from '../../src/source/git-source-access.ts';
import { nixSourceAccess } from '../../src/source/nix-source-access.ts';
import type { SourceContext } from '../../src/source/source-context.ts';

/** Without `nix` nothing can be added to the store, which only downloads need. */
export function sourceContext(folder: string, nix?: NixInstallation): SourceContext {
  return {
    workspace: join(folder, 'workspace'),
    depsCache: join(folder, 'dependencies'),
    git: gitSourceAccess({ localUser: true }),
    nix: nixSourceAccess({
      nix: nix ?? { binDir: '/nonexistent', version: '0', env: {} },
      system: process.arch === 'arm64' ? 'aarch64-linux' : 'x86_64-linux',
      packageSetIdentity: async (choice) => choice,
      buildPackage: async () => undefined,
    }),
    allowLocal: true,
  };
}
