/** What `kiln build --explain` shows: the expression, who wrote it and why, and what it depends on. */
import { planSource } from './resolve-source.ts';
import type { SourceContext } from './source-context.ts';
import type { BuildOptions, Source, SourceSpec } from './source.ts';
import type { DependencySet } from './templates/template.ts';

export interface SourceExplanation {
  readonly source: Source;
  /** How the source is built. */
  readonly by: 'nix-file' | 'flake' | 'template' | 'remote-flake';
  readonly template?: string;
  /** What decided that. */
  readonly why: string;
  /** Further assumptions, one sentence each. */
  readonly notes: readonly string[];
  /** Saved as `default.nix` in the folder, a template's expression builds the same. */
  readonly expression?: string;
  readonly dependencies: readonly DependencySet[];
  /** What makes every evaluation a new one. */
  readonly impurities: readonly string[];
}

/** Does all that a build does before evaluation, downloads included, so that the hashes shown are the real ones. */
export async function explainSource(
  spec: SourceSpec,
  options: BuildOptions,
  context: SourceContext,
): Promise<SourceExplanation> {
  const { source, plan, impurities } = await planSource(spec, options, context);
  return {
    source,
    by: plan?.by ?? 'remote-flake',
    ...(source.template === undefined ? {} : { template: source.template }),
    why: plan?.why ?? 'a flake that Nix fetches',
    notes: plan?.by === 'template' ? plan.plan.notes : [],
    ...(source.expression === undefined ? {} : { expression: source.expression }),
    dependencies: plan?.by === 'template' ? plan.plan.dependencies : [],
    impurities,
  };
}
