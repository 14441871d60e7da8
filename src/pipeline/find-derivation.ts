/** The dependencies step: source → derivation, by memory or by evaluation, and what building it will need. */
import { dirname, join, relative } from 'node:path';
import type { StorePath } from '../base/brand.ts';
import { findEvaluation, saveEvaluation } from '../build/reuse-queries.ts';
import type { ExpressionFacts } from '../nix/expression-facts.ts';
import { instantiate, type Instantiated } from '../nix/instantiate.ts';
import { checkSyntax } from '../nix/check-syntax.ts';
import type { Source, SourceSpec } from '../source/source.ts';
import { isStorePath, parseStorePath } from '../store/store-path.ts';
import { choosePackageSet } from './package-set.ts';
import type { PipelineServices } from './pipeline-services.ts';

export interface FoundDerivation {
  readonly drvPath: StorePath;
  /** Output name → path, as far as it is known before the build. The first is the one asked for. */
  readonly outputs: Readonly<Record<string, StorePath>>;
  /** What the expression says of its program and image. */
  readonly facts: ExpressionFacts;
  /** No evaluation was needed. */
  readonly reused: boolean;
  /** Every output is in the store. */
  readonly built: boolean;
}

export interface FindOptions {
  readonly buildId: string;
  readonly spec: SourceSpec;
  readonly packages: 'nixpkgs' | 'basis' | 'auto';
  readonly signal: AbortSignal;
  readonly onLine: (line: string) => void;
  readonly onActivity: (text: string) => void;
}

/** @throws KilnError syntax-error, evaluation-failed, nix-failed, cancelled */
export async function findDerivation(
  services: PipelineServices,
  source: Source,
  options: FindOptions,
): Promise<FoundDerivation> {
  const { store, db } = services;
  const known = await findEvaluation(db, source.contentKey);
  if (known !== undefined && isStorePath(known.drvPath)) {
    const outputs = parseOutputs(known.outputs);
    const built = await allValid(services, Object.values(outputs));
    // Without outputs and without the derivation there is nothing to go on with: it is evaluated again.
    if (built || (await store.isValid(known.drvPath)))
      return { drvPath: known.drvPath, outputs, facts: known.facts, reused: true, built };
  }
  options.onActivity('evaluating');
  const { drvPath, outputName, facts } = await evaluate(services, source, options);
  const all = await store.derivationOutputs(drvPath);
  const wanted = all.get(outputName);
  const outputs = wanted === undefined ? {} : { [outputName]: wanted };
  await saveEvaluation(db, source.contentKey, { drvPath, outputs, facts: { ...facts } });
  return { drvPath, outputs, facts, reused: false, built: await allValid(services, Object.values(outputs)) };
}

async function evaluate(
  services: PipelineServices,
  source: Source,
  options: FindOptions,
): Promise<Instantiated> {
  const packages = await choosePackageSet(options.packages, services.env);
  // Somebody at their own machine may let their own expression read their own files; nobody else may.
  const own =
    options.spec.kind === 'expression' || options.spec.kind === 'directory' || options.spec.kind === 'file';
  const evaluated = instantiate(services.nix, source.installable, {
    nixPath: { nixpkgs: packages.location },
    restricted: !(services.allowLocal && own),
    sourceDirectory: readableFolder(source),
    displayPath: (file) => displayPath(file, source, options.spec),
    withFacts: true,
    // A flake has a nixpkgs of its own; it is replaced only when that is asked for.
    ...(options.packages === 'basis' ? { flakeNixpkgs: packages.location } : {}),
    gcRoot: services.roots.linkOf(`drv-${options.buildId}`),
    signal: options.signal,
    onEvent: (event) => {
      if (event.type === 'activity') options.onActivity(event.text);
      if (event.type === 'message' && event.level <= 1) options.onLine(event.text);
    },
  });
  return await evaluated.catch(async (error: unknown) => {
    // The parser alone says best what is wrong with the text. It is asked only then: it costs a process.
    const { spec, signal } = options;
    if (spec.kind === 'expression') {
      await checkSyntax(services.nix, { text: spec.expression, displayName: 'expression' }, { signal });
    }
    throw error;
  });
}

/** A template's expression lies beside the folder that it builds; the folder around both holds nothing else. */
function readableFolder(source: Source): string {
  if (source.installable.type !== 'file' || source.template === undefined) return source.directory;
  return dirname(source.installable.file);
}

/** Builds read a copy of the source; people know their own file, or a place in their repository. */
function displayPath(file: string, source: Source, spec: SourceSpec): string {
  const path = relative(source.directory, file);
  if (path.startsWith('..')) return source.template === undefined ? file : `template ${source.template}`;
  switch (spec.kind) {
    case 'expression':
      return path === 'default.nix' ? 'expression' : path;
    case 'directory':
      return join(spec.path, path);
    case 'file':
      return join(dirname(spec.path), path);
    default:
      return path;
  }
}

async function allValid(services: PipelineServices, paths: readonly StorePath[]): Promise<boolean> {
  if (paths.length === 0) return false;
  const valid = await Promise.all(paths.map((path) => services.store.isValid(path)));
  return valid.every(Boolean);
}

function parseOutputs(outputs: Readonly<Record<string, string>>): Record<string, StorePath> {
  return Object.fromEntries(Object.entries(outputs).map(([name, path]) => [name, parseStorePath(path)]));
}
