/** Image settings from several places, put together. */
import type { AppSettings } from '../config/app-settings.ts';

export type ImageSettings = NonNullable<AppSettings['image']>;

/** Later ones win; tables (variables, labels, files, times, modes) are merged by name, lists are replaced. */
export function mergeImageSettings(...layers: readonly (ImageSettings | undefined)[]): ImageSettings {
  let merged: ImageSettings = {};
  for (const layer of layers) {
    if (layer === undefined) continue;
    merged = {
      ...merged,
      ...layer,
      ...joined('env', merged, layer),
      ...joined('labels', merged, layer),
      ...joined('files', merged, layer),
      ...joined('mtime', merged, layer),
      ...joined('modes', merged, layer),
    };
  }
  return merged;
}

type Table = 'env' | 'labels' | 'files' | 'mtime' | 'modes';

function joined(key: Table, a: ImageSettings, b: ImageSettings): Partial<ImageSettings> {
  return a[key] === undefined && b[key] === undefined ? {} : { [key]: { ...a[key], ...b[key] } };
}
