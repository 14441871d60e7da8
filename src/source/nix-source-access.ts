/** Nix as sources use it. */
import path from 'node:path';
import { z } from 'zod';
import type { StorePath } from '../base/brand.ts';
import { KilnError } from '../base/error.ts';
import { addDirectory } from '../nix/add-to-store.ts';
import type { NixInstallation } from '../nix/nix-installation.ts';
import { NIX_COMMAND, runNix } from '../nix/run-nix.ts';
import type { NixAccess } from './source-context.ts';

export interface NixSourceOptions {
  readonly nix: NixInstallation;
  /** `x86_64-linux` … */
  readonly system: string;
  readonly packageSetIdentity: NixAccess['packageSetIdentity'];
  /** Builds an attribute of the package set; undefined where it has none of that name. */
  readonly buildPackage: (attribute: string, signal?: AbortSignal) => Promise<StorePath | undefined>;
}

const metadataSchema = z.object({
  url: z.string(),
  locked: z.looseObject({ narHash: z.string().optional() }).optional(),
});

export function nixSourceAccess(options: NixSourceOptions): NixAccess {
  const { nix } = options;
  return {
    system: options.system,
    packageSetIdentity: options.packageSetIdentity,
    async addFixed(directory, signal) {
      const added = await addDirectory(nix, directory, path.basename(directory), signal);
      const result = await runNix(
        nix,
        'nix-store',
        ['--query', '--hash', added],
        signal === undefined ? {} : { signal },
      );
      const hash = result.stdout.trim();
      if (!/^sha256:[0-9a-z]{52}$/.test(hash)) {
        throw new KilnError('nix-failed', `Nix does not know the hash of ${added}`, {
          where: result.stderr.slice(-500),
        });
      }
      return { path: added, hash };
    },
    async lockFlake(reference, signal) {
      const result = await runNix(
        nix,
        'nix',
        ['flake', 'metadata', ...NIX_COMMAND, '--json', '--', reference],
        signal === undefined ? {} : { signal },
      );
      if (result.exitCode !== 0) {
        throw new KilnError('dependency-fetch', `The flake ${reference} could not be fetched`, {
          where: result.stderr.trim().split('\n').slice(-6).join('\n'),
          hint: 'Check the reference with `nix flake metadata`, and that its host can be reached.',
        });
      }
      return metadataSchema.parse(JSON.parse(result.stdout)).url;
    },
    async programFolder(attribute, signal) {
      const built = await options.buildPackage(attribute, signal);
      return built === undefined ? undefined : path.join(built, 'bin');
    },
  };
}
