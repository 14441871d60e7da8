/** Which paths of this machine's store the cache shows. Without a rule, whoever knows a hash could fetch any file of it. */
import { stat } from 'node:fs/promises';
import type { StorePath } from '../base/brand.ts';
import type { GcRoots } from '../nix/gc-roots.ts';
import type { StoreDatabase } from '../nix/store-database.ts';
import type { PathInfo } from '../store/closure.ts';
import { fingerprintOf } from '../store/fingerprint.ts';
import { parsePublicKey, type SigningKey, verifySignature } from '../store/signature.ts';

export interface ServedPaths {
  allows(info: PathInfo, keys: readonly SigningKey[]): Promise<boolean>;
  /** Whether the log of a derivation may be shown: one of its outputs is served. */
  allowsLogOf(drvPath: StorePath): Promise<boolean>;
}

export const EVERYTHING: ServedPaths = {
  allows: async () => true,
  allowsLogOf: async () => true,
};

/** Roots of results; those of derivations that are being built hold sources that nobody asked to publish. */
const RESULT_ROOT = /^(?:build|manifest)-/;

/**
 * What Kiln built and what one of its keys signed. "Built" is the closure of every result that Kiln holds a root for; it is
 * read again only when a valid path is asked for that is not among them, and the store or the roots changed since.
 */
export function servesOwn(store: StoreDatabase, roots: GcRoots, rootsFolder: string): ServedPaths {
  let paths: ReadonlySet<StorePath> = new Set();
  let derivers: ReadonlySet<StorePath> = new Set();
  let state = '';
  let reading: Promise<void> | undefined;
  const readAgain = async (): Promise<void> => {
    const now = `${await store.version()} ${(await stat(rootsFolder)).mtimeMs}`;
    if (now === state && store.kind === 'sqlite') return;
    const wanted = [...resultRoots(await roots.list())];
    const valid = await Promise.all(wanted.map((root) => store.isValid(root)));
    // All at once, since closures of results overlap widely.
    const closure = await store.closure(wanted.filter((_root, index) => valid[index]));
    const found = new Map(closure.paths.map((info) => [info.path, info.deriver]));
    paths = new Set(found.keys());
    derivers = new Set([...found.values()].filter((path) => path !== undefined));
    state = now;
  };
  const refresh = (): Promise<void> => (reading ??= readAgain().finally(() => (reading = undefined)));
  const holds = async (set: () => ReadonlySet<StorePath>, path: StorePath): Promise<boolean> => {
    if (set().has(path)) return true;
    // A root that vanished meanwhile makes the query fail; what was known before stays.
    await refresh().catch(() => undefined);
    return set().has(path);
  };
  return {
    async allows(info, keys) {
      if (paths.has(info.path) || isSignedBy(info, keys)) return true;
      return await holds(() => paths, info.path);
    },
    async allowsLogOf(drvPath) {
      if (await holds(() => derivers, drvPath)) return true;
      const outputs = await store.derivationOutputs(drvPath);
      return [...outputs.values()].some((output) => paths.has(output));
    },
  };
}

function resultRoots(roots: ReadonlyMap<string, StorePath>): Set<StorePath> {
  return new Set([...roots].filter(([name]) => RESULT_ROOT.test(name)).map(([, path]) => path));
}

function isSignedBy(info: PathInfo, keys: readonly SigningKey[]): boolean {
  if (info.signatures.length === 0 || keys.length === 0) return false;
  const publicKeys = keys.map((key) => parsePublicKey(key.publicKey));
  const text = fingerprintOf(info);
  return info.signatures.some((signature) => verifySignature(text, signature, publicKeys) !== undefined);
}
