/** Recognises folders of files for a browser. */
import type { TreeReader } from '../tree/tree-reader.ts';

const FOLDERS = ['', 'public', 'site', 'dist', 'docs', 'www', 'html'] as const;

export async function recogniseStaticSite(tree: TreeReader): Promise<string | undefined> {
  const folder = findSiteFolder(tree);
  return folder === undefined ? undefined : `${folder === '' ? '' : `${folder}/`}index.html`;
}

/** The folder with index.html; `''` is the source itself. */
export function findSiteFolder(tree: TreeReader): string | undefined {
  return FOLDERS.find((folder) => tree.has(folder === '' ? 'index.html' : `${folder}/index.html`));
}
