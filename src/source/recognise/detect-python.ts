/** Recognises Python applications. */
import type { TreeReader } from '../tree/tree-reader.ts';

const FILES = [
  'pyproject.toml',
  'requirements.txt',
  'Pipfile.lock',
  'Pipfile',
  'setup.py',
  'setup.cfg',
  'manage.py',
  'main.py',
  'app.py',
] as const;
const LOCKS = ['uv.lock', 'poetry.lock', 'pdm.lock', 'Pipfile.lock'] as const;

export async function recognisePython(tree: TreeReader): Promise<string | undefined> {
  const file = FILES.find((name) => tree.has(name));
  if (file === undefined) return undefined;
  const lock = findPythonLock(tree);
  return lock === undefined || lock === file ? file : `${file} with ${lock}`;
}

export function findPythonLock(tree: TreeReader): (typeof LOCKS)[number] | undefined {
  return LOCKS.find((name) => tree.has(name));
}
