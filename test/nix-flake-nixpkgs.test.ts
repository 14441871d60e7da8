/** A flake whose nixpkgs cannot be reached, built with the basis in its place. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { basisPath } from '../src/basis/basis-path.ts';
import { instantiate } from '../src/nix/instantiate.ts';
import { nixOnPath } from '../src/nix/nix-installation.ts';
import { overrideNixpkgs } from '../src/nix/override-nixpkgs.ts';
import { workFolder } from './harness/work-folder.ts';

const FLAKE = `{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";
  inputs.older = { url = "github:NixOS/nixpkgs/nixos-24.05"; flake = true; };
  outputs = { self, nixpkgs, older }: {
    packages = nixpkgs.lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (system: {
      default = nixpkgs.legacyPackages.\${system}.writeText "note" older.legacyPackages.\${system}.lib.version or "old";
    });
  };
}
`;

test('every input that is a nixpkgs gives way to the basis, restricted or not', async () => {
  using work = workFolder();
  work.write('flake.nix', FLAKE);
  const nix = await nixOnPath();
  for (const restricted of [false, true]) {
    const { drvPath } = await instantiate(
      nix,
      { type: 'flake', reference: `path:${work.path}` },
      { nixPath: {}, restricted, sourceDirectory: work.path, flakeNixpkgs: basisPath() },
    );
    assert.match(drvPath, /-note\.drv$/);
  }
});

test('inputs are known by their address, in the flake and in its lock', async () => {
  using work = workFolder();
  work.write(
    'flake.nix',
    '{ inputs = { unstable.url = "github:NixOS/nixpkgs"; other.url = "github:a/b"; }; outputs = _: { }; }',
  );
  const node = { original: { type: 'indirect', id: 'nixpkgs' } };
  work.write(
    'flake.lock',
    JSON.stringify({ root: 'root', nodes: { root: { inputs: { lib: 'n' } }, n: node } }),
  );
  const words = await overrideNixpkgs('/basis', work.path);
  assert.deepEqual(
    words.filter((_, at) => at % 3 === 1),
    ['nixpkgs', 'unstable', 'lib'],
  );
});
