/** What the text of a tree's Nix files tells about evaluating them: whether the tree is all that they can see. */
import { readFile, readlink } from 'node:fs/promises';
import path from 'node:path';
import type { TreeEntry } from './tree-hash.ts';

export interface NixFacts {
  readonly escapes: boolean;
  readonly impurities: readonly string[];
}

/** Larger ones are generated data. */
const MAX_NIX_FILE = 2 ** 20;
const IMPURE: readonly (readonly [RegExp, string])[] = [
  [/\bcurrentTime\b/, 'builtins.currentTime'],
  [/\bgetEnv\b/, 'builtins.getEnv'],
  [
    /\bbuiltins\.(fetchurl|fetchTarball|fetchGit|fetchMercurial|fetchTree)\b(?![\s\S]{0,400}\b(sha256|narHash|rev)\b)/,
    'a download without a hash',
  ],
  [/(?:^|[\s(=;[])\/(?!nix\/store\/)[A-Za-z][\w.+-]*\/[\w.+/-]+/m, 'an absolute path'],
  [/(?:^|[\s(=;[])~\//m, 'a path in a home folder'],
];

export async function nixFacts(directory: string, entries: readonly TreeEntry[]): Promise<NixFacts> {
  let escapes = false;
  const impurities: string[] = [];
  for (const entry of entries) {
    const folder = path.posix.dirname(entry.path);
    if (entry.mode === 'link') {
      escapes ||= leaves(folder, await readlink(path.join(directory, entry.path)));
    } else if (entry.path.endsWith('.nix') && entry.size <= MAX_NIX_FILE) {
      const text = await readFile(path.join(directory, entry.path), 'utf8');
      escapes ||= relativePaths(text).some((target) => leaves(folder, target));
      impurities.push(...findImpurities(text).map((what) => `${what} in ${entry.path}`));
    }
  }
  return { escapes, impurities };
}

/** `./x` and `../x` in Nix source text; also those in strings and comments. */
export function relativePaths(text: string): string[] {
  return text.match(/(?<![\w./-])\.\.?\/[\w./+-]*/g) ?? [];
}

/** Comments and strings are not told apart from code where that could hide an impurity. */
function findImpurities(text: string): string[] {
  const code = text
    .replace(/^\s*#.*$/gm, '')
    .replace(/''[\s\S]*?''/g, "''''")
    .replace(/"(?:[^"\\]|\\.)*"/g, '""');
  return IMPURE.filter(([pattern]) => pattern.test(code)).map(([, name]) => name);
}

function leaves(folder: string, target: string): boolean {
  return !target.startsWith('/') && /^\.\.(\/|$)/.test(path.posix.normalize(path.posix.join(folder, target)));
}
