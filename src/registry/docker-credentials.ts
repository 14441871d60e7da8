/** Credentials for registries as Docker and Podman keep them: files, helpers, environment. */
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { KilnError, systemErrorCode } from '../base/error.ts';
import { Secret } from '../base/secret.ts';
import { runProcess } from '../process/run-process.ts';

export type Credentials =
  | { readonly kind: 'password'; readonly username: string; readonly password: Secret }
  /** An OAuth2 refresh token, which `docker login` calls identity token. */
  | { readonly kind: 'identity'; readonly token: Secret };

/** Finds credentials for `host[:port]`; undefined: ask anonymously. */
export type CredentialSource = (host: string, signal?: AbortSignal) => Promise<Credentials | undefined>;

const configSchema = z.looseObject({
  auths: z
    .record(
      z.string(),
      z.looseObject({
        auth: z.string().optional(),
        username: z.string().optional(),
        password: z.string().optional(),
        identitytoken: z.string().optional(),
      }),
    )
    .optional(),
  credHelpers: z.record(z.string(), z.string()).optional(),
  credsStore: z.string().optional(),
});
type DockerConfig = z.infer<typeof configSchema>;

const DOCKER_HUB_KEY = 'https://index.docker.io/v1/';
const HELPER_DEADLINE_MS = 30_000;

/**
 * `DOCKER_REGISTRY_USERNAME` and `DOCKER_REGISTRY_PASSWORD` for the host of `DOCKER_REGISTRY_URL`; then the files
 * `REGISTRY_AUTH_FILE`, `DOCKER_CONFIG`/config.json or ~/.docker/config.json, and Podman's auth.json.
 */
export function dockerCredentials(environment: NodeJS.ProcessEnv = process.env): CredentialSource {
  return async (host, signal) => {
    const fromEnvironment = environmentCredentials(environment, host);
    if (fromEnvironment !== undefined) return fromEnvironment;
    for (const file of configFiles(environment)) {
      const config = await readConfig(file);
      const found = config === undefined ? undefined : await findIn(config, host, environment, signal);
      if (found !== undefined) return found;
    }
    return undefined;
  };
}

function environmentCredentials(environment: NodeJS.ProcessEnv, host: string): Credentials | undefined {
  const { DOCKER_REGISTRY_URL: url, DOCKER_REGISTRY_USERNAME: username } = environment;
  const password = environment['DOCKER_REGISTRY_PASSWORD'];
  if (url === undefined || username === undefined || password === undefined) return undefined;
  if (url.replace(/^https?:\/\//, '').split('/')[0] !== host) return undefined;
  return { kind: 'password', username, password: new Secret(password) };
}

function configFiles(environment: NodeJS.ProcessEnv): string[] {
  const home = environment['HOME'] ?? homedir();
  const runtime = environment['XDG_RUNTIME_DIR'];
  return [
    ...(environment['REGISTRY_AUTH_FILE'] === undefined ? [] : [environment['REGISTRY_AUTH_FILE']]),
    join(environment['DOCKER_CONFIG'] ?? join(home, '.docker'), 'config.json'),
    ...(runtime === undefined ? [] : [join(runtime, 'containers', 'auth.json')]),
  ];
}

async function readConfig(file: string): Promise<DockerConfig | undefined> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EACCES') return undefined;
    throw error;
  }
  try {
    return configSchema.parse(JSON.parse(text));
  } catch {
    // The parser's message would quote the file, which holds passwords.
    throw new KilnError('invalid-config', 'The Docker configuration cannot be read', {
      where: file,
      hint: 'It must be JSON as `docker login` writes it.',
    });
  }
}

async function findIn(
  config: DockerConfig,
  host: string,
  environment: NodeJS.ProcessEnv,
  signal: AbortSignal | undefined,
): Promise<Credentials | undefined> {
  const keys = hostKeys(host);
  for (const key of keys) {
    const helper = config.credHelpers?.[key];
    if (helper !== undefined) return await askHelper(helper, key, environment, signal);
  }
  for (const key of keys) {
    const entry = config.auths?.[key];
    if (entry === undefined) continue;
    if (entry.identitytoken !== undefined && entry.identitytoken !== '') {
      return { kind: 'identity', token: new Secret(entry.identitytoken) };
    }
    const [username, password] =
      entry.auth === undefined ? [entry.username, entry.password] : splitAuth(entry.auth);
    if (username !== undefined && password !== undefined) {
      return { kind: 'password', username, password: new Secret(password) };
    }
  }
  if (config.credsStore === undefined || config.credsStore === '') return undefined;
  for (const key of keys) {
    const found = await askHelper(config.credsStore, key, environment, signal);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Forms under which tools store one host. */
function hostKeys(host: string): string[] {
  const hub = host === 'registry-1.docker.io' ? [DOCKER_HUB_KEY, 'docker.io', 'index.docker.io'] : [];
  return [
    ...hub,
    host,
    `https://${host}`,
    `https://${host}/`,
    `http://${host}`,
    `https://${host}/v1/`,
    `https://${host}/v2/`,
  ];
}

function splitAuth(auth: string): [string, string] | [undefined, undefined] {
  const text = Buffer.from(auth, 'base64').toString('utf8').replace(/\0+$/, '');
  const colon = text.indexOf(':');
  return colon < 0 ? [undefined, undefined] : [text.slice(0, colon), text.slice(colon + 1)];
}

async function askHelper(
  name: string,
  key: string,
  environment: NodeJS.ProcessEnv,
  signal: AbortSignal | undefined,
): Promise<Credentials | undefined> {
  if (!/^[A-Za-z0-9._-]+$/.test(name)) {
    throw new KilnError('invalid-config', `"${name.slice(0, 80)}" is not the name of a credential helper`);
  }
  const result = await runProcess(`docker-credential-${name}`, ['get'], {
    stdin: key,
    env: environment,
    deadlineMs: HELPER_DEADLINE_MS,
    ...(signal === undefined ? {} : { signal }),
  });
  if (result.exitCode !== 0) {
    // Helpers say "not found" on standard output and fail; that only means: not this one.
    if (/not found/i.test(result.stdout)) return undefined;
    throw new KilnError('unauthorized', `docker-credential-${name} failed for ${key}`, {
      where: result.stderr.trim().slice(0, 500),
      hint: 'Run it by hand, or log in again.',
    });
  }
  const answer = z.object({ Username: z.string(), Secret: z.string() }).safeParse(safeJson(result.stdout));
  if (!answer.success)
    throw new KilnError('unauthorized', `docker-credential-${name} gave no credentials for ${key}`);
  const secret = new Secret(answer.data.Secret);
  return answer.data.Username === '<token>'
    ? { kind: 'identity', token: secret }
    : { kind: 'password', username: answer.data.Username, password: secret };
}

function safeJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
