/** Recognises Go modules. */
import type { TreeReader } from '../tree/tree-reader.ts';

export async function recogniseGo(tree: TreeReader): Promise<string | undefined> {
  if (!tree.has('go.mod')) return undefined;
  if (tree.has('vendor/modules.txt')) return 'go.mod with vendor/';
  return tree.has('go.sum') ? 'go.mod with go.sum' : 'go.mod';
}
