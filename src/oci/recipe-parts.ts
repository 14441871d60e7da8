/** The parts of a layer in the order of the tar profile: by the bytes of the name in the archive. */
import { KilnError } from '../base/error.ts';
import type { LayerRecipe, LiteralEntry, StoreEntry } from './layer-recipe.ts';
import { STORE_DIR } from '../store/store-path.ts';
import type { TarEntry } from './tar-header.ts';

/** Either one header with its content, or a whole store path whose tree is walked. */
export type RecipePart =
  | { readonly type: 'entry'; readonly entry: TarEntry; readonly content: Buffer }
  | { readonly type: 'store-path'; readonly entry: StoreEntry };

/** @throws KilnError invalid-input when two entries have one name, or a literal lies inside the store */
export function recipeParts(recipe: LayerRecipe): RecipePart[] {
  const parts = new Map<string, RecipePart>();
  const add = (name: string, part: RecipePart): void => {
    if (parts.has(name)) throw new KilnError('invalid-input', `Two entries of a layer are called ${name}`);
    parts.set(name, part);
  };
  if (recipe.entries.some((entry) => entry.type === 'store-path')) {
    // Without these two, extraction makes them up with the mode of the day, and non-root programs find no store.
    for (const name of ['nix/', 'nix/store/'])
      add(name, { type: 'entry', entry: directory(name, recipe.mtime), content: EMPTY });
  }
  for (const entry of recipe.entries) {
    if (entry.type === 'store-path') add(entry.path.slice(1), { type: 'store-path', entry });
    else {
      const part = literalPart(entry, recipe.mtime);
      add(part.entry.name, part);
    }
  }
  return [...parts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, part]) => part);
}

/** The bytes of a text as a byte string, one character per byte of its UTF-8. */
export function byteString(text: string): string {
  return Buffer.from(text).toString('latin1');
}

const EMPTY = Buffer.alloc(0);

function literalPart(
  entry: LiteralEntry,
  recipeTime: number,
): { type: 'entry'; entry: TarEntry; content: Buffer } {
  checkLiteralPath(entry.path);
  const name = byteString(entry.path.slice(1));
  const mtime = entry.mtime ?? recipeTime;
  if (entry.type === 'directory') {
    const { mode, uid, gid } = entry;
    return { type: 'entry', entry: { ...directory(`${name}/`, mtime), mode, uid, gid }, content: EMPTY };
  }
  if (entry.type === 'symlink') {
    const link = {
      kind: 'symlink',
      name,
      target: byteString(entry.target),
      mode: 0o777,
      uid: 0,
      gid: 0,
      size: 0,
      mtime,
    } as const;
    return { type: 'entry', entry: link, content: EMPTY };
  }
  const content = Buffer.from(entry.contentBase64, 'base64');
  const { mode, uid, gid } = entry;
  return {
    type: 'entry',
    entry: { kind: 'file', name, target: '', mode, uid, gid, size: content.length, mtime },
    content,
  };
}

function directory(name: string, mtime: number): TarEntry {
  return { kind: 'directory', name, target: '', mode: 0o755, uid: 0, gid: 0, size: 0, mtime };
}

function checkLiteralPath(path: string): void {
  const parts = path.split('/').slice(1);
  if (
    !path.startsWith('/') ||
    path.includes('\0') ||
    parts.some((part) => part === '' || part === '.' || part === '..')
  ) {
    throw new KilnError('invalid-input', `"${path}" is not an absolute, normalised path`);
  }
  if (path === '/nix' || path === STORE_DIR || path.startsWith(`${STORE_DIR}/`)) {
    throw new KilnError(
      'invalid-input',
      `${path} cannot be an extra file: the store holds only what was built`,
    );
  }
}
