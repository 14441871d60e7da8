/** The machine's npm configuration: registries, their credentials, certificates and proxies, as npm itself reads them. */
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';

/** Options for pacote. Values may be credentials: never log them. */
export type NpmConfiguration = Readonly<Record<string, string | boolean | readonly string[]>>;

/**
 * User and global `.npmrc` below `npm_config_*` variables. The `.npmrc` of the source is not read: it belongs to
 * whoever wrote the source, and must not decide where this machine's credentials go.
 */
export async function readNpmConfiguration(
  environment: NodeJS.ProcessEnv = process.env,
): Promise<NpmConfiguration> {
  const fromEnvironment = environmentOptions(environment);
  const prefix = text(fromEnvironment['prefix']) ?? path.resolve(process.execPath, '..', '..');
  const files = [
    text(fromEnvironment['globalconfig']) ?? path.join(prefix, 'etc', 'npmrc'),
    text(fromEnvironment['userconfig']) ?? path.join(environment['HOME'] ?? homedir(), '.npmrc'),
  ];
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8').catch(() => '')));
  const merged = Object.assign(
    {},
    ...texts.map((content) => parseNpmrc(content, environment)),
    fromEnvironment,
  );
  return pacoteOptions(merged, environment);
}

/** `key = value` lines; `;` and `#` start comments, `key[]` collects, `${NAME}` is a variable. */
export function parseNpmrc(
  content: string,
  environment: NodeJS.ProcessEnv,
): Record<string, string | string[]> {
  const result: Record<string, string | string[]> = {};
  for (const line of content.split(/\r?\n/)) {
    const match = /^\s*([^;#=\s][^=]*?)\s*(?:=\s*(.*?)\s*)?$/.exec(line);
    if (match === null) continue;
    const value = expand((match[2] ?? 'true').replace(/^(["'])(.*)\1$/, '$2'), environment);
    const key = expand(match[1] ?? '', environment);
    if (!key.endsWith('[]')) result[key] = value;
    else result[key.slice(0, -2)] = [...[result[key.slice(0, -2)] ?? []].flat(), value];
  }
  return result;
}

function expand(value: string, environment: NodeJS.ProcessEnv): string {
  return value.replace(/\$\{([^}?]+)\??\}/g, (whole, name: string) => environment[name] ?? whole);
}

function environmentOptions(environment: NodeJS.ProcessEnv): Record<string, string> {
  const entries = Object.entries(environment).flatMap(([name, value]) => {
    const match = /^npm_config_(.+)$/i.exec(name);
    if (match === null || value === undefined || value === '') return [];
    const key = match[1] ?? '';
    return [
      [key.startsWith('//') || key.startsWith('@') ? key : key.toLowerCase().replaceAll('_', '-'), value],
    ];
  });
  return Object.fromEntries(entries) as Record<string, string>;
}

const RENAMED: Readonly<Record<string, string>> = {
  registry: 'registry',
  'replace-registry-host': 'replaceRegistryHost',
  'https-proxy': 'proxy',
  proxy: 'proxy',
  noproxy: 'noProxy',
  'strict-ssl': 'strictSSL',
  ca: 'ca',
  'local-address': 'localAddress',
};

async function pacoteOptions(
  merged: Readonly<Record<string, string | string[]>>,
  environment: NodeJS.ProcessEnv,
): Promise<NpmConfiguration> {
  const options: Record<string, string | boolean | readonly string[]> = {};
  for (const [key, value] of Object.entries(merged)) {
    const name = key.startsWith('//') || /^@[^:]+:registry$/.test(key) ? key : RENAMED[key];
    if (name === undefined || value === 'null') continue;
    options[name] = value === 'true' ? true : value === 'false' ? false : value;
  }
  const authorities = text(merged['cafile']) ?? environment['NODE_EXTRA_CA_CERTS'];
  if (authorities !== undefined && options['ca'] === undefined) {
    const pem = await readFile(authorities, 'utf8').catch(() => '');
    const certificates = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
    if (certificates !== null) options['ca'] = certificates;
  }
  return options;
}

function text(value: string | string[] | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
