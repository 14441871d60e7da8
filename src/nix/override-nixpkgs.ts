/** Builds a flake with another package set than the one that it names. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

const NIXPKGS_URL =
  /^(?:flake:)?nixpkgs(?:\/|$)|github(?::|\.com\/)(?:NixOS|nixos)\/nixpkgs\b|channels\.nixos\.org|\bnixpkgs\b.*\.tar/;

/**
 * Arguments that put `folder` in the place of the input `nixpkgs` and of every further input that is a nixpkgs. `directory`
 * holds the flake; without it, when the flake is remote, only the input of that name is known.
 */
export async function overrideNixpkgs(
  folder: string,
  directory: string | undefined,
): Promise<readonly string[]> {
  const names = new Set(['nixpkgs', ...(directory === undefined ? [] : await nixpkgsInputs(directory))]);
  return [...names].flatMap((name) => ['--override-input', name, `path:${folder}`]);
}

/** Inputs of the top level whose lock entry, or else whose stated address, is a nixpkgs. */
async function nixpkgsInputs(directory: string): Promise<readonly string[]> {
  if (!existsSync(join(directory, 'flake.nix'))) return [];
  const text = await readFile(join(directory, 'flake.nix'), 'utf8');
  const stated = [
    ...text.matchAll(/\b(?!inputs\b)([\w-]+)(?:\.url\s*=|\s*=\s*\{[^{}]*?\burl\s*=)\s*"([^"]+)"/g),
  ];
  const locked = await lockedInputs(join(directory, 'flake.lock'));
  return [
    ...stated.flatMap(([, name = '', url = '']) =>
      NIXPKGS_URL.test(url) && name !== 'inputs' ? [name] : [],
    ),
    ...locked,
  ];
}

interface LockNode {
  readonly inputs?: Readonly<Record<string, string | readonly string[]>>;
  readonly original?: { readonly owner?: string; readonly repo?: string; readonly id?: string };
}

async function lockedInputs(file: string): Promise<readonly string[]> {
  try {
    const { nodes = {}, root = 'root' } = JSON.parse(await readFile(file, 'utf8')) as {
      readonly nodes?: Readonly<Record<string, LockNode>>;
      readonly root?: string;
    };
    return Object.entries(nodes[root]?.inputs ?? {}).flatMap(([name, node]) => {
      const original = typeof node === 'string' ? nodes[node]?.original : undefined;
      const is = original?.id === 'nixpkgs' || /^nixpkgs/i.test(original?.repo ?? '');
      return is ? [name] : [];
    });
  } catch {
    return [];
  }
}
