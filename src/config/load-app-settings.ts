/** Reads the `kiln.toml` of an application. */
import { readFile, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { isKilnError, KilnError, systemErrorCode } from '../base/error.ts';
import { appSettingsSchema, type AppSettings } from './app-settings.ts';
import { checkSettings } from './check-settings.ts';
import { parseToml } from './toml-document.ts';

const MAX_BYTES = 1 << 20;

/** The settings in `directory`, or none where it has no `kiln.toml`. @throws KilnError invalid-config with every mistake */
export async function loadAppSettings(directory: string): Promise<AppSettings> {
  try {
    const root = await realpath(directory);
    const file = await realpath(join(root, 'kiln.toml'));
    // Errors quote the file, and the repository may be a stranger's: a link must not make them quote a file of this machine.
    if (!file.startsWith(`${root}${sep}`)) {
      throw new KilnError('invalid-config', 'The settings file is a link that leads out of the source', {
        where: 'kiln.toml',
      });
    }
    const { size } = await stat(file);
    if (size > MAX_BYTES) throw tooLarge('kiln.toml');
    return parseAppSettings(await readFile(file, 'utf8'));
  } catch (error) {
    if (isKilnError(error)) throw error;
    if (systemErrorCode(error) === 'ENOENT') return {};
    throw new KilnError('invalid-config', 'The settings file cannot be read', {
      where: 'kiln.toml',
      cause: error,
    });
  }
}

/** @param name shown in errors. @throws KilnError invalid-config with every mistake */
export function parseAppSettings(text: string, name = 'kiln.toml'): AppSettings {
  if (text.length > MAX_BYTES) throw tooLarge(name);
  const document = parseToml(text, name);
  return checkSettings(appSettingsSchema, document.data, {
    name,
    positionOf: (path) => ({ line: document.lineOf(path) }),
  });
}

function tooLarge(name: string): KilnError {
  return new KilnError('invalid-config', 'The settings file is larger than 1 MiB', { where: name });
}
