/** Puts the server's settings together: defaults, then the file, then the environment. */
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { KilnError, systemErrorCode } from '../base/error.ts';
import { Secret } from '../base/secret.ts';
import { checkSettings } from './check-settings.ts';
import {
  defaultConcurrentBuilds,
  ENVIRONMENT,
  serverSettingsSchema,
  type ServerSettings,
  type ServerSettingsFile,
} from './server-settings.ts';
import { parseToml, type TomlDocument } from './toml-document.ts';

export interface LoadOptions {
  /** The file to read; must exist. Without it `KILN_CONFIG`, then the usual places. */
  readonly file?: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

export interface LoadedSettings {
  readonly settings: ServerSettings;
  /** The file that was read, if any. */
  readonly file?: string;
  /** Setting → environment variable or file that gave it; what is not named is a default. */
  readonly origins: ReadonlyMap<string, string>;
}

type Table = Record<string, unknown>;

/** @throws KilnError invalid-config with every mistake, not-found for a named file that is missing */
export async function loadServerSettings(options: LoadOptions = {}): Promise<LoadedSettings> {
  const env = options.env ?? process.env;
  const found = await readSettingsFile(options.file ?? present(env['KILN_CONFIG']), defaultHome(env));
  const document = found === undefined ? undefined : parseToml(found.text, found.file);
  const origins = new Map<string, string>();
  const data = structuredClone(document?.data ?? {}) as Table;
  if (found !== undefined) for (const key of leafKeys(data)) origins.set(key, found.file);
  for (const { variable, key } of ENVIRONMENT) {
    const value = present(env[variable]);
    if (key === undefined || value === undefined) continue;
    assign(
      data,
      key.split('.'),
      key === 'home' || key === 'workspace' || key.endsWith('Dir') ? resolve(value) : value,
    );
    origins.set(key, variable);
  }
  const parsed = checkSettings(serverSettingsSchema, data, {
    name: found?.file ?? 'settings',
    positionOf: (path) => positionOf(path.join('.'), path, origins, document),
  });
  const settings = await complete(parsed, env);
  if (present(env['DATABASE_URL']) !== undefined) origins.set('database.url', 'DATABASE_URL');
  if (present(env['DOCKER_REGISTRY_PASSWORD']) !== undefined)
    origins.set('registry.password', 'DOCKER_REGISTRY_PASSWORD');
  return { settings, ...(found === undefined ? {} : { file: found.file }), origins };
}

/** `KILN_HOME`, else `kiln` in the user's data folder (XDG Base Directory Specification). */
function defaultHome(env: Readonly<Record<string, string | undefined>> = process.env): string {
  return resolve(
    present(env['KILN_HOME']) ??
      join(present(env['XDG_DATA_HOME']) ?? join(homedir(), '.local', 'share'), 'kiln'),
  );
}

async function complete(
  parsed: ServerSettingsFile,
  env: NonNullable<LoadOptions['env']>,
): Promise<ServerSettings> {
  if (parsed.limits.buildTimeout > parsed.limits.maxBuildTimeout) {
    throw new KilnError('invalid-config', 'limits.buildTimeout is longer than limits.maxBuildTimeout', {
      hint: 'Raise the maximum, or lower the default.',
    });
  }
  const home = parsed.home ?? defaultHome(env);
  const databaseUrl = await secretFrom(
    'DATABASE_URL',
    env['DATABASE_URL'],
    'database.urlFile',
    parsed.database.urlFile,
  );
  if (databaseUrl !== undefined && !/^postgres(?:ql)?:\/\//.test(databaseUrl.reveal())) {
    throw new KilnError('invalid-config', 'The database address does not start with postgres://', {
      where: parsed.database.urlFile ?? 'DATABASE_URL',
      hint: 'Write it like postgres://user:password@host:5432/kiln, or leave it out for the embedded database.',
    });
  }
  const { passwordFile, ...registry } = parsed.registry;
  const password = await secretFrom(
    'DOCKER_REGISTRY_PASSWORD',
    env['DOCKER_REGISTRY_PASSWORD'],
    'registry.passwordFile',
    passwordFile,
  );
  return {
    ...parsed,
    home,
    workspace: parsed.workspace ?? join(home, 'builds'),
    database: { url: databaseUrl, connections: parsed.database.connections },
    limits: {
      ...parsed.limits,
      concurrentBuilds: parsed.limits.concurrentBuilds ?? defaultConcurrentBuilds(),
    },
    git: {
      ...parsed.git,
      knownHostsFile: parsed.git.knownHostsFile ?? join(home, 'git', 'known_hosts'),
      mirrorDir: join(home, 'git', 'mirrors'),
    },
    registry: { ...registry, password },
    cache: { ...parsed.cache, localDir: parsed.cache.localDir ?? join(home, 'cache') },
  };
}

async function secretFrom(
  variable: string,
  value: string | undefined,
  key: string,
  file: string | undefined,
): Promise<Secret | undefined> {
  if (present(value) !== undefined) return new Secret(value ?? '');
  if (file === undefined) return undefined;
  try {
    const text = (await readFile(file, 'utf8')).trim();
    if (text !== '') return new Secret(text);
  } catch (error) {
    throw new KilnError('invalid-config', `${key} names a file that cannot be read`, {
      where: file,
      hint: `Check its path and permissions, or set ${variable}.`,
      cause: error,
    });
  }
  throw new KilnError('invalid-config', `${key} names an empty file`, {
    where: file,
    hint: `Write the secret into it, or set ${variable}.`,
  });
}

async function readSettingsFile(
  named: string | undefined,
  home: string,
): Promise<{ readonly file: string; readonly text: string } | undefined> {
  const places = named === undefined ? [join(home, 'kiln.toml'), '/etc/kiln/kiln.toml'] : [resolve(named)];
  for (const file of places) {
    try {
      return { file, text: await readFile(file, 'utf8') };
    } catch (error) {
      const missing = systemErrorCode(error) === 'ENOENT' || systemErrorCode(error) === 'ENOTDIR';
      if (missing && named === undefined) continue;
      throw new KilnError(
        missing ? 'not-found' : 'invalid-config',
        missing ? 'The settings file does not exist' : 'The settings file cannot be read',
        {
          where: file,
          hint: 'Check the path in `--config` or KILN_CONFIG.',
          cause: error,
        },
      );
    }
  }
  return undefined;
}

function positionOf(
  key: string,
  path: readonly (string | number)[],
  origins: ReadonlyMap<string, string>,
  document: TomlDocument | undefined,
): { readonly name?: string; readonly line?: number } {
  const variable = ENVIRONMENT.find(
    (setting) => setting.key === key && origins.get(key) === setting.variable,
  )?.variable;
  return variable === undefined ? { line: document?.lineOf(path) } : { name: variable };
}

/** An empty variable is as good as none: that is how unit files and compose files unset one. */
function present(value: string | undefined): string | undefined {
  return value === undefined || value.trim() === '' ? undefined : value;
}

function assign(data: Table, path: readonly string[], value: string): void {
  let table = data;
  for (const part of path.slice(0, -1)) {
    const inner = table[part];
    // A scalar where a table belongs is the file's mistake, which the schema reports.
    if (inner !== undefined && (typeof inner !== 'object' || inner === null)) return;
    table[part] = inner ?? {};
    table = table[part] as Table;
  }
  table[path.at(-1) ?? ''] = value;
}

function leafKeys(data: Table, prefix = ''): string[] {
  return Object.entries(data).flatMap(([name, value]) => {
    const key = `${prefix}${name}`;
    return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
      ? leafKeys(value as Table, `${key}.`)
      : [key];
  });
}
