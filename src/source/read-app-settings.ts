/** Reads the `kiln.toml` of an application. */
import { parse, TomlError } from 'smol-toml';
import { closestMatches } from '../base/closest-match.ts';
import { KilnError } from '../base/error.ts';
import { appSettingsSchema, type AppSettings } from '../config/app-settings.ts';
import type { TreeReader } from './tree/tree-reader.ts';

export const APP_SETTINGS_FILE = 'kiln.toml';

/** Empty settings where there is no file. @throws KilnError invalid-config with the line or the key */
export async function readAppSettings(tree: TreeReader): Promise<AppSettings> {
  const text = await tree.read(APP_SETTINGS_FILE);
  return text === undefined ? {} : parseAppSettings(text);
}

export function parseAppSettings(text: string): AppSettings {
  const result = appSettingsSchema.safeParse(parseToml(text));
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  const at = issue?.path.join('.') ?? '';
  if (issue?.code === 'unrecognized_keys') throw unknownKey(at, issue.keys[0] ?? '');
  throw new KilnError('invalid-config', `${APP_SETTINGS_FILE}: ${at} is not valid: ${issue?.message ?? ''}`, {
    where: `${APP_SETTINGS_FILE}: ${at}`,
    hint: 'docs/templates.md shows every setting.',
  });
}

/** `over` wins over `under`; tables of the image (environment, labels, files …) are merged name by name. */
export function mergeAppSettings(under: AppSettings, over: AppSettings): AppSettings {
  const [low, high] = [under.image, over.image];
  const tables = (['env', 'labels', 'files', 'mtime', 'modes'] as const)
    .filter((name) => low?.[name] !== undefined || high?.[name] !== undefined)
    .map((name) => [name, { ...low?.[name], ...high?.[name] }]);
  const image = { ...low, ...high, ...Object.fromEntries(tables) };
  // A check that was asked for replaces the derived one; a port alone only moves it.
  const named =
    over.health?.http !== undefined || over.health?.tcp !== undefined || over.health?.exit !== undefined;
  const { port: derivedPort, ...derivedCheck } = under.health ?? {};
  const health = {
    ...(derivedPort === undefined || over.health?.exit === true ? {} : { port: derivedPort }),
    ...(named ? {} : derivedCheck),
    ...over.health,
  };
  return {
    ...(over.build === undefined ? {} : { build: over.build }),
    ...(Object.keys(image).length === 0 ? {} : { image }),
    ...(Object.keys(health).length === 0 ? {} : { health }),
  };
}

function parseToml(text: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    throw new KilnError(
      'invalid-config',
      `${APP_SETTINGS_FILE} is not TOML: ${error.message.split('\n')[0] ?? ''}`,
      {
        where: `${APP_SETTINGS_FILE}:${error.line}:${error.column}\n${error.codeblock}`,
        hint: 'Fix the line shown.',
        cause: error,
      },
    );
  }
}

function unknownKey(at: string, key: string): KilnError {
  const section =
    at === ''
      ? appSettingsSchema
      : appSettingsSchema.shape[at as keyof typeof appSettingsSchema.shape]?.unwrap();
  const known = Object.keys(section?.shape ?? {});
  const close = closestMatches(key, known, 1)[0];
  const place = at === '' ? key : `${at}.${key}`;
  return new KilnError('invalid-config', `${APP_SETTINGS_FILE} has an unknown setting ${place}`, {
    where: `${APP_SETTINGS_FILE}: ${place}`,
    hint:
      close === undefined
        ? `There are ${known.join(', ')}.`
        : `Did you mean ${at === '' ? close : `${at}.${close}`}?`,
  });
}
