/** Modification times and modes that the settings ask for, spread over the files of an image. */
import type { StorePath } from '../base/brand.ts';
import { filePattern } from '../oci/file-pattern.ts';
import type { FileAttributes, LiteralEntry } from '../oci/layer-recipe.ts';
import type { Closure } from '../store/closure.ts';
import { STORE_DIR } from '../store/store-path.ts';
import type { Finding } from './finding.ts';
import type { ImageSettings } from './image-settings.ts';

export type AttributeSettings = Pick<ImageSettings, 'mtime' | 'modes'>;

/**
 * What each store path is to be written with. A relative pattern is meant in the outputs of the build, `/nix/store/NAME/…` in the
 * paths that NAME matches; paths that no pattern is for are left out, so that their layers stay as they are.
 */
export function storeAttributes(
  settings: AttributeSettings,
  closure: Closure,
): ReadonlyMap<StorePath, readonly FileAttributes[]> {
  const roots = new Set<StorePath>(closure.roots);
  const result = new Map<StorePath, FileAttributes[]>();
  for (const { pattern, ...wanted } of attributesOf(settings)) {
    const inStore = pattern.startsWith(`${STORE_DIR}/`) ? pattern.slice(STORE_DIR.length + 1) : undefined;
    if (pattern.startsWith('/') && inStore === undefined) continue;
    const { isFor, inside } =
      inStore === undefined
        ? { isFor: (path: StorePath) => roots.has(path), inside: pattern }
        : splitStorePattern(inStore);
    for (const { path } of closure.paths) {
      if (!isFor(path)) continue;
      result.set(path, [...(result.get(path) ?? []), { pattern: inside, ...wanted }]);
    }
  }
  return result;
}

/** The files outside the store, with the attributes of the absolute patterns. */
export function withAttributes(
  settings: AttributeSettings,
  entries: readonly LiteralEntry[],
): readonly LiteralEntry[] {
  const wanted = attributesOf(settings)
    .filter(({ pattern }) => pattern.startsWith('/'))
    .map(({ pattern, ...rest }) => ({ expression: filePattern(pattern), ...rest }));
  if (wanted.length === 0) return entries;
  return entries.map((entry) => {
    let changed = entry;
    for (const { expression, mtime, mode } of wanted) {
      if (!expression.test(entry.path)) continue;
      if (mtime !== undefined) changed = { ...changed, mtime };
      if (mode !== undefined && changed.type !== 'symlink') changed = { ...changed, mode };
    }
    return changed;
  });
}

/** Programs that would run as somebody else than who starts them. */
export function checkModes(settings: AttributeSettings): Finding[] {
  return Object.entries(settings.modes ?? {})
    .filter(([, mode]) => (Number.parseInt(mode, 8) & 0o6000) !== 0)
    .map(([path, mode]) => ({
      severity: 'warning',
      code: 'set-user-id',
      message: `${path} gets the mode ${mode}: it runs with the rights of its owner, root`,
      hint: 'Clusters switch this off (no-new-privileges). Leave the first digit out.',
      path,
    }));
}

function attributesOf(settings: AttributeSettings): FileAttributes[] {
  return [
    ...Object.entries(settings.mtime ?? {}).map(([pattern, mtime]) => ({ pattern, mtime })),
    ...Object.entries(settings.modes ?? {}).map(([pattern, mode]) => ({
      pattern,
      mode: Number.parseInt(mode, 8),
    })),
  ];
}

function splitStorePattern(pattern: string): {
  readonly isFor: (path: StorePath) => boolean;
  readonly inside: string;
} {
  const slash = pattern.indexOf('/');
  const name = slash === -1 ? pattern : pattern.slice(0, slash);
  if (name.includes('**')) return { isFor: () => true, inside: pattern };
  const expression = filePattern(name);
  return {
    isFor: (path) => expression.test(path.slice(STORE_DIR.length + 1)),
    inside: slash === -1 ? '.' : pattern.slice(slash + 1),
  };
}
