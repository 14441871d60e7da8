/** Resolves a source and builds it on the basis, with the real Nix and its sandbox. */
import { join } from 'node:path';
import { writeFileSync } from 'node:fs';
import { basisPath } from '../../src/basis/basis-path.ts';
import type { StorePath } from '../../src/base/brand.ts';
import { instantiate } from '../../src/nix/instantiate.ts';
import { nixOnPath, type NixInstallation } from '../../src/nix/nix-installation.ts';
import { realise } from '../../src/nix/realise.ts';
import { createProvideSources } from '../../src/pipeline/provide-sources.ts';
import { nixSourceAccess } from '../../src/source/nix-source-access.ts';
import { resolveSource } from '../../src/source/resolve-source.ts';
import type { Installable, Source, SourceSpec } from '../../src/source/source.ts';
import { sourceContext } from './source-context.ts';

export interface BuiltSource {
  readonly source: Source;
  readonly out: StorePath;
}

/** `folder` takes everything but the result. */
export async function buildSource(spec: SourceSpec, folder: string): Promise<BuiltSource> {
  const nix = await nixOnPath();
  const context = sourceContext(folder, nix);
  const buildPackage = async (attribute: string): Promise<StorePath> => {
    const file = join(folder, `${attribute}.nix`);
    writeFileSync(file, `(import <nixpkgs> { }).${attribute}\n`);
    return await buildOnBasis(nix, { type: 'file', file, args: {} });
  };
  const access = nixSourceAccess({
    nix,
    system: context.nix.system,
    packageSetIdentity: async () => basisPath(),
    buildPackage,
  });
  const source = await resolveSource(spec, {}, { ...context, nix: access });
  return { source, out: await buildOnBasis(nix, source.installable) };
}

async function buildOnBasis(nix: NixInstallation, installable: Installable): Promise<StorePath> {
  const { drvPath, outputName } = await instantiate(nix, installable, {
    nixPath: { nixpkgs: basisPath() },
    restricted: false,
  });
  await createProvideSources(nix, process.env)(drvPath, {});
  const { outputs } = await realise(nix, drvPath);
  const out = outputs[outputName];
  if (out === undefined) throw new Error(`${drvPath} has no output ${outputName}`);
  return out;
}
