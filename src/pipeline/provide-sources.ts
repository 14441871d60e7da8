/** Puts the sources that a derivation of the basis needs into the store before Nix would ask for them. */
import { debianDirectory, type Environment } from '../setup/kiln-home.ts';
import type { NixInstallation } from '../nix/nix-installation.ts';

export type ProvideSources = (
  drvPath: string,
  options: { readonly signal?: AbortSignal; readonly onProgress?: (line: string) => void },
) => Promise<{ readonly added: number; readonly bytes: number }>;

export function createProvideSources(nix: NixInstallation, env: Environment): ProvideSources {
  return async (drvPath, options) => {
    // Imported when needed: it brings the clients of the package archives along.
    const { provideFixedOutputs } = await import('../basis/provide-fixed-outputs.ts');
    const provided = await provideFixedOutputs(drvPath, {
      nix,
      debianFolder: debianDirectory(env),
      ...options,
    });
    return { added: provided.added.length, bytes: provided.bytes };
  };
}
