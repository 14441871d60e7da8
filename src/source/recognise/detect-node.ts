/** Recognises Node.js applications. */
import type { TreeReader } from '../tree/tree-reader.ts';

const LOCKS = ['package-lock.json', 'npm-shrinkwrap.json', 'pnpm-lock.yaml', 'yarn.lock'] as const;

export type NodeLockName = (typeof LOCKS)[number];

export async function recogniseNode(tree: TreeReader): Promise<string | undefined> {
  if (!tree.has('package.json')) return undefined;
  const lock = findNodeLock(tree);
  return lock === undefined ? 'package.json' : `package.json with ${lock}`;
}

/** The lock file in use; npm's own wins where there are several. */
export function findNodeLock(tree: TreeReader): NodeLockName | undefined {
  return LOCKS.find((name) => tree.has(name));
}
