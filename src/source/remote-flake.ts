/** A flake that Nix fetches itself. */
import type { RemoteFlake } from './acquired-source.ts';
import { contentKey } from './content-key.ts';
import type { SourceContext } from './source-context.ts';
import type { BuildOptions, Source } from './source.ts';

/** Locks the reference first, so that a moved branch gets another content key. @throws KilnError */
export async function resolveRemoteFlake(
  flake: RemoteFlake,
  options: BuildOptions,
  context: SourceContext,
): Promise<Source> {
  const locked = await context.nix.lockFlake(flake.reference, context.signal);
  const attr = options.attr ?? flake.attr;
  return {
    kind: 'flake',
    directory: context.workspace,
    root: context.workspace,
    installable: { type: 'flake', reference: locked, ...(attr === undefined ? {} : { attr }) },
    contentKey: contentKey({
      tree: locked,
      entry: 'remote flake',
      attr,
      args: options.packages === 'basis' ? { 'input nixpkgs': 'basis' } : {},
      packageSet: await context.nix.packageSetIdentity(options.packages ?? 'auto'),
      system: context.nix.system,
    }),
    settings: options.environmentVars === undefined ? {} : { image: { env: { ...options.environmentVars } } },
    [Symbol.asyncDispose]: async () => undefined,
  };
}
