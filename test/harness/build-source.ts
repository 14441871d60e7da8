/** Resolves a source and builds it on the basis, with the real Nix and its sandbox. */
import { basisPath } from '../../src/basis/basis-path.ts';
import type { StorePath } from '../../src/base/brand.ts';
import { instantiate } from '../../src/nix/instantiate.ts';
import { nixOnPath } from '../../src/nix/nix-installation.ts';
import { realise } from '../../src/nix/realise.ts';
import { createProvideSources } from '../../src/pipeline/provide-sources.ts';
import { resolveSource } from '../../src/source/resolve-source.ts';
import type { Source, SourceSpec } from '../../src/source/source.ts';
import { sourceContext } from './source-context.ts';

export interface BuiltSource {
  readonly source: Source;
  readonly out: StorePath;
}

/** `folder` takes everything but the result. */
export async function buildSource(spec: SourceSpec, folder: string): Promise<BuiltSource> {
  const nix = await nixOnPath();
  const source = await resolveSource(spec, {}, sourceContext(folder, nix));
  const { drvPath, outputName } = await instantiate(nix, source.installable, {
    nixPath: { nixpkgs: basisPath() },
    restricted: false,
  });
  await createProvideSources(nix, process.env)(drvPath, {});
  const { outputs } = await realise(nix, drvPath);
  const out = outputs[outputName];
  if (out === undefined) throw new Error(`${drvPath} has no output ${outputName}`);
  return { source, out };
}
