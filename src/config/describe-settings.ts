/** Shows settings to people: the ones in force, and the reference of all there are. */
import { Secret } from '../base/secret.ts';
import { formatBytes, formatDuration } from '../base/units.ts';
import { appSettingsSchema } from './app-settings.ts';
import type { LoadedSettings } from './load-server-settings.ts';
import { ENVIRONMENT, serverSettingsSchema } from './server-settings.ts';
import { settingRows, type SettingRow } from './setting-table.ts';

export interface SettingInForce {
  readonly key: string;
  /** For reading; secrets are masked. */
  readonly value: string;
  /** A file, an environment variable, or `default`. */
  readonly origin: string;
}

const SIZES = /(?:Size|\.size)$/;
const DURATIONS =
  /^(?:limits\.(?:buildTimeout|maxBuildTimeout|silence)|retention\.(?:builds|mirrors|untagged|interval)|git\.timeout|registry\.uploadIdle)$/;

/** Every setting with its value and where that came from; nothing in it is secret. */
export function describeSettings(loaded: LoadedSettings): SettingInForce[] {
  const rows: SettingInForce[] = [];
  const visit = (value: unknown, key: string): void => {
    if (value === undefined) return;
    if (
      typeof value === 'object' &&
      value !== null &&
      !Array.isArray(value) &&
      !(value instanceof Secret) &&
      key !== 'listen'
    ) {
      for (const [name, inner] of Object.entries(value)) visit(inner, key === '' ? name : `${key}.${name}`);
      return;
    }
    rows.push({
      key,
      value: show(key, value),
      origin: loaded.origins.get(key) ?? fileOrigin(key, loaded) ?? 'default',
    });
  };
  visit(loaded.settings, '');
  return rows;
}

/** The reference page of both settings files, as Markdown; `docs/kiln-toml.md` is its committed output. */
export function renderReference(): string {
  return [
    '# kiln.toml',
    '',
    'Generated from the schemas by `node scripts/generate-docs.ts`; do not edit.',
    '',
    "Two files have this name. The **application's** lies in its repository and says what to build and how the image runs.",
    "The **server's** lies in its home folder or in `/etc/kiln/`. Both are [TOML](https://toml.io); unknown settings are errors.",
    'Durations are written as `500ms`, `30s`, `5m`, `2h`, `7d`; sizes as `512B`, `8MiB`, `50GB`.',
    '',
    '## Application',
    '',
    ...table(settingRows(appSettingsSchema)),
    '',
    '## Server',
    '',
    ...table(settingRows(serverSettingsSchema)),
    '',
    '## Environment of the server',
    '',
    'Each variable wins over the file. An empty variable counts as unset.',
    '',
    '| Variable | Setting | Meaning |',
    '|---|---|---|',
    ...ENVIRONMENT.map(
      ({ variable, key, description }) =>
        `| \`${variable}\` | ${key === undefined ? '' : `\`${key}\``} | ${cell(description)} |`,
    ),
    '',
  ].join('\n');
}

function table(rows: readonly SettingRow[]): string[] {
  return [
    '| Setting | Type | Default | Meaning |',
    '|---|---|---|---|',
    ...rows.map(({ key, type, defaultText, description }) => {
      return `| \`${key}\` | ${cell(type)} | ${defaultText === undefined ? '' : `\`${cell(defaultText)}\``} | ${cell(description)} |`;
    }),
  ];
}

function cell(text: string): string {
  return text
    .replaceAll('|', '\\|')

    .replace(/\s+/g, ' ');
}

/** Secrets are read from the file that another setting names. */
function fileOrigin(key: string, loaded: LoadedSettings): string | undefined {
  return loaded.origins.get(`${key}File`);
}

function show(key: string, value: unknown): string {
  if (value instanceof Secret) return value.toString();
  if (key === 'listen' && typeof value === 'object' && value !== null && 'host' in value && 'port' in value) {
    return `${String(value.host).includes(':') ? `[${String(value.host)}]` : String(value.host)}:${String(value.port)}`;
  }
  if (typeof value === 'number' && SIZES.test(key)) return formatBytes(value);
  if (typeof value === 'number' && DURATIONS.test(key)) return formatDuration(value);
  return typeof value === 'string' ? value : JSON.stringify(value);
}
