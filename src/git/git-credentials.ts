/** How Kiln proves to a forge who it is. Values are secrets: they reach git by environment or private file, never by argument. */
import { KilnError } from '../base/error.ts';
import { Secret } from '../base/secret.ts';
import type { GitForge, GitUrl } from './git-url.ts';

export interface GitCredentials {
  /** Access token for https:// addresses. */
  readonly accessToken?: Secret;
  /** Login name beside the token; default: what the forge expects. */
  readonly username?: string;
  /** Private key for SSH addresses, in OpenSSH or PEM form, without a passphrase. */
  readonly sshKey?: Secret;
  /** Lines of a known_hosts file. With them only these host keys are accepted; without, the first one seen is remembered. */
  readonly knownHosts?: string;
}

/** GitHub, GitLab and Bitbucket document these names for tokens; Gitea and GitLab take any, so the last is also the default. */
const TOKEN_USERS: Readonly<Partial<Record<GitForge, string>>> = {
  github: 'x-access-token',
  bitbucket: 'x-token-auth',
  gitlab: 'oauth2',
};

/** The value of the `Authorization` header for `url`, or undefined. @throws KilnError git-credentials for a token with odd characters */
export function authorizationHeader(url: GitUrl, credentials: GitCredentials): Secret | undefined {
  const token = credentials.accessToken?.reveal().trim();
  if (token === undefined || token === '' || (url.scheme !== 'https' && url.scheme !== 'http'))
    return undefined;
  const user = credentials.username ?? TOKEN_USERS[url.forge ?? 'gitlab'] ?? 'oauth2';
  if (/[^\u0021-\u007e]/.test(token) || /[^\u0021-\u0039\u003b-\u007e]/.test(user)) {
    throw new KilnError(
      'git-credentials',
      'The access token or its user name holds spaces or characters that no token has',
      {
        hint: 'Copy the token again, without line breaks.',
      },
    );
  }
  return new Secret(`Basic ${Buffer.from(`${user}:${token}`).toString('base64')}`);
}

/** All forms of the credentials that could appear in a tool's output, for `redact`. */
export function secretsOf(url: GitUrl, credentials: GitCredentials): Secret[] {
  const header = authorizationHeader(url, credentials);
  const encoded = header?.reveal().slice('Basic '.length);
  const keyLines = credentials.sshKey
    ?.reveal()
    .split(/\r?\n/)
    .filter((line) => line.length > 20 && !line.startsWith('---'));
  return [
    ...(credentials.accessToken === undefined ? [] : [new Secret(credentials.accessToken.reveal().trim())]),
    ...(encoded === undefined ? [] : [new Secret(encoded)]),
    ...(keyLines ?? []).map((line) => new Secret(line)),
  ];
}

/** The key as ssh reads it: line feeds only, and one at the end. @throws KilnError git-credentials */
export function normaliseSshKey(key: Secret): string {
  const text = `${key.reveal().replaceAll('\\n', '\n').replace(/\r\n?/g, '\n').trim()}\n`;
  if (/^ssh-\w+ |^ecdsa-|^sk-/.test(text)) {
    throw new KilnError('git-credentials', 'The SSH key is the public half', {
      hint: 'Give the private key: the file without ".pub".',
    });
  }
  if (!/^-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----\n/.test(text)) {
    throw new KilnError('git-credentials', 'The SSH key is not a private key', {
      hint: 'It must start with a line like "-----BEGIN OPENSSH PRIVATE KEY-----".',
    });
  }
  if (isEncrypted(text)) {
    throw new KilnError('git-credentials', 'The SSH key is protected by a passphrase', {
      hint: 'Make a deploy key without one: ssh-keygen -t ed25519 -N "" -f deploy-key.',
    });
  }
  return text;
}

function isEncrypted(text: string): boolean {
  if (/ENCRYPTED/.test(text.slice(0, 200))) return true;
  if (!text.startsWith('-----BEGIN OPENSSH')) return false;
  // PROTOCOL.key: "openssh-key-v1\0", then the cipher's name with its length before it.
  const blob = Buffer.from(text.split('\n').slice(1, -2).join(''), 'base64');
  return blob.length > 23 && blob.subarray(19, 23).toString('latin1') !== 'none';
}
