/** The context in which sources are resolved, from the pipeline's services. */
import type { SourceContext } from '../source/source-context.ts';
import { createNixAccess } from './nix-access.ts';
import type { PipelineServices } from './pipeline-services.ts';
import { createProvideSources } from './provide-sources.ts';

export function sourceContextOf(
  services: PipelineServices,
  buildId: string,
  options: { readonly signal: AbortSignal; readonly onLine: (line: string) => void },
): SourceContext {
  return {
    workspace: services.workspace,
    depsCache: services.depsCache,
    git: services.git,
    nix: createNixAccess({
      nix: services.nix,
      store: services.store,
      system: services.system,
      env: services.env,
      provide: createProvideSources(services.nix, services.env),
      onProgress: options.onLine,
    }),
    credentials: services.credentialsOf(buildId),
    signal: options.signal,
    onProgress: options.onLine,
    allowLocal: services.allowLocal,
  };
}
