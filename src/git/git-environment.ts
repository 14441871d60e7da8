/** The environment in which git runs: what it may ask, run and read is said here and nowhere else. */
import { mkdir, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { isIP } from 'node:net';
import { KilnError } from '../base/error.ts';
import { authorizationHeader, normaliseSshKey, type GitCredentials } from './git-credentials.ts';
import type { GitUrl } from './git-url.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface RemoteEnvironmentOptions {
  readonly url: GitUrl;
  readonly credentials: GitCredentials;
  /** Addresses that were checked; the connection goes to these. */
  readonly addresses: readonly string[];
  /** The user's own git and ssh settings, credential helpers and agent are used. */
  readonly userSettings: boolean;
  /** Where host keys seen for the first time are kept. */
  readonly knownHostsFile: string;
  /** For the files that ssh needs; made only when needed. */
  readonly privateFolder: () => Promise<string>;
}

type ConfigEntry = readonly [key: string, value: string];

/** Holds for every call: nothing from a repository or from another user may start a program. */
const SAFE_CONFIG: readonly ConfigEntry[] = [
  ['core.hooksPath', '/dev/null'],
  ['core.fsmonitor', 'false'],
  ['core.protectHFS', 'true'],
  ['core.protectNTFS', 'true'],
  ['core.autocrlf', 'false'],
  ['protocol.ext.allow', 'never'],
  ['protocol.version', '2'],
  ['http.followRedirects', 'false'],
  // Fewer than 1 byte per second for a minute: the other side is gone.
  ['http.lowSpeedLimit', '1'],
  ['http.lowSpeedTime', '60'],
  ['submodule.recurse', 'false'],
  ['fetch.recurseSubmodules', 'false'],
  ['fetch.unpackLimit', '1'],
  ['gc.auto', '0'],
  ['maintenance.auto', 'false'],
  ['init.defaultBranch', 'main'],
  ['advice.detachedHead', 'false'],
  ['log.showSignature', 'false'],
];

/** Passed on from this process; everything else is set here or absent. */
const PASSED_ON = [
  'PATH',
  'TMPDIR',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'GIT_SSL_CAINFO',
  'GIT_SSL_CAPATH',
  'CURL_CA_BUNDLE',
  'GIT_EXEC_PATH',
  'LD_LIBRARY_PATH',
  'http_proxy',
  'https_proxy',
  'HTTPS_PROXY',
  'all_proxy',
  'ALL_PROXY',
  'no_proxy',
  'NO_PROXY',
];

/** For commands that touch no network. */
export function localEnvironment(extra: readonly ConfigEntry[] = []): Environment {
  return { ...isolated(), ...configVariables([...SAFE_CONFIG, ...extra]), GIT_ALLOW_PROTOCOL: '' };
}

/** For commands that talk to `options.url`, and only to it. */
export async function remoteEnvironment(options: RemoteEnvironmentOptions): Promise<Environment> {
  const { url, credentials, userSettings } = options;
  const config: ConfigEntry[] = [...SAFE_CONFIG];
  const header = authorizationHeader(url, credentials);
  if (header !== undefined)
    config.push([`http.${origin(url)}/.extraHeader`, `Authorization: ${header.reveal()}`]);
  if (!userSettings || header !== undefined) config.push(['credential.helper', ''], ['core.askPass', '']);
  if (options.addresses.length > 0 && isIP(url.host) === 0) {
    config.push([
      'http.curloptResolve',
      `${url.host}:${url.port}:${options.addresses.map(bracketed).join(',')}`,
    ]);
  }
  return {
    ...(userSettings ? own() : isolated()),
    ...configVariables(config),
    GIT_ALLOW_PROTOCOL: userSettings ? 'https:http:ssh:file' : url.scheme,
    ...(url.scheme === 'ssh' || userSettings ? await sshVariables(options) : {}),
  };
}

export function origin(url: GitUrl): string {
  return `${url.scheme}://${bracketed(url.host)}:${url.port}`;
}

function isolated(): Environment {
  const passed = Object.fromEntries(
    PASSED_ON.map((name) => [name, process.env[name]]).filter(([, value]) => value !== undefined),
  );
  return {
    ...passed,
    ...common,
    // Neither ~/.gitconfig nor ~/.netrc of the account that the server runs under.
    HOME: '/nonexistent',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_ATTR_NOSYSTEM: '1',
    GIT_LFS_SKIP_SMUDGE: '1',
  };
}

function own(): Environment {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^GIT_(?!SSL_|SSH|EXEC_PATH|CONFIG_GLOBAL$|CONFIG_SYSTEM$|CONFIG_NOSYSTEM$)/.test(name),
  );
  return { ...Object.fromEntries(kept), ...common };
}

const common: Environment = {
  LC_ALL: 'C',
  LANGUAGE: '',
  GIT_TERMINAL_PROMPT: '0',
  GIT_ASKPASS: '',
  SSH_ASKPASS: '',
  GIT_OPTIONAL_LOCKS: '0',
};

/** Settings by environment: unlike `-c` they do not show in the list of processes. */
function configVariables(config: readonly ConfigEntry[]): Environment {
  const variables: Record<string, string> = { GIT_CONFIG_COUNT: String(config.length) };
  for (const [index, [key, value]] of config.entries()) {
    variables[`GIT_CONFIG_KEY_${index}`] = key;
    variables[`GIT_CONFIG_VALUE_${index}`] = value;
  }
  return variables;
}

async function sshVariables(options: RemoteEnvironmentOptions): Promise<Environment> {
  const { url, credentials } = options;
  if (options.userSettings && credentials.sshKey === undefined && credentials.knownHosts === undefined) {
    const ownCommand = process.env['GIT_SSH_COMMAND'];
    return ownCommand === undefined ? { GIT_SSH_COMMAND: 'ssh -o BatchMode=yes' } : {};
  }
  if (credentials.accessToken !== undefined && credentials.sshKey === undefined) {
    throw new KilnError('git-credentials', 'An access token was given for an SSH address', {
      where: url.href,
      hint: 'Tokens work with https:// addresses; for this one give an SSH key.',
    });
  }
  const folder = await options.privateFolder();
  const configFile = join(folder, 'ssh_config');
  await writeFile(configFile, await sshConfig(options, folder), { mode: 0o600 });
  // git hands this line to a shell; the path is made by us and quoted.
  return { GIT_SSH_COMMAND: `ssh -F '${configFile.replaceAll("'", `'\\''`)}'`, GIT_SSH_VARIANT: 'ssh' };
}

async function sshConfig(options: RemoteEnvironmentOptions, folder: string): Promise<string> {
  const { url, credentials } = options;
  const lines = [
    'BatchMode yes',
    'IdentitiesOnly yes',
    'IdentityAgent none',
    'ForwardAgent no',
    'ForwardX11 no',
    'ClearAllForwardings yes',
    'PermitLocalCommand no',
    'ProxyCommand none',
    'ControlPath none',
    'UpdateHostKeys no',
    'ConnectTimeout 30',
    'ServerAliveInterval 20',
    'ServerAliveCountMax 3',
    'GlobalKnownHostsFile /dev/null',
    'PreferredAuthentications publickey',
    'CheckHostIP no',
  ];
  if (credentials.sshKey === undefined) {
    lines.push('IdentityFile none');
  } else {
    const keyFile = join(folder, 'key');
    await writeFile(keyFile, normaliseSshKey(credentials.sshKey), { mode: 0o600 });
    lines.push(`IdentityFile "${keyFile}"`);
  }
  if (credentials.knownHosts === undefined) {
    await mkdir(dirname(options.knownHostsFile), { recursive: true });
    lines.push(
      `UserKnownHostsFile "${options.knownHostsFile}"`,
      'StrictHostKeyChecking accept-new',
      'HashKnownHosts no',
    );
  } else {
    const file = join(folder, 'known_hosts');
    await writeFile(file, `${credentials.knownHosts.trim()}\n`, { mode: 0o600 });
    lines.push(`UserKnownHostsFile "${file}"`, 'StrictHostKeyChecking yes');
  }
  // Connect to the address that was checked, and look the host key up under the name that was asked for.
  const pinned = isIP(url.host) === 0 ? options.addresses[0] : undefined;
  if (pinned !== undefined) {
    lines.push(
      `HostName ${pinned}`,
      `HostKeyAlias ${url.port === 22 ? url.host : `[${url.host}]:${url.port}`}`,
    );
  }
  return `${lines.join('\n')}\n`;
}

function bracketed(address: string): string {
  return isIP(address) === 6 ? `[${address}]` : address;
}

/** `$KILN_HOME/git/known_hosts`, or the same below the user's data folder. */
export function defaultKnownHostsFile(): string {
  const home =
    process.env['KILN_HOME'] ?? join(process.env['XDG_DATA_HOME'] ?? join(homedir(), '.local/share'), 'kiln');
  return join(home, 'git', 'known_hosts');
}
