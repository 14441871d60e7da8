/** Git addresses, parsed once. What comes out is safe to hand to git as an argument; whether its host may be asked is `host-policy.ts`. */
import { isIP } from 'node:net';
import { isAbsolute, resolve } from 'node:path';
import { KilnError } from '../base/error.ts';
import { redact } from '../base/secret.ts';

export type GitScheme = 'https' | 'http' | 'ssh' | 'file';
export type GitForge = 'github' | 'gitlab' | 'bitbucket' | 'codeberg' | 'azure';

export interface GitUrl {
  readonly scheme: GitScheme;
  /** Login name; only for ssh. */
  readonly user?: string;
  /** Lower case, IPv6 without brackets, numeric spellings of IPv4 in dotted form; empty for `file`. */
  readonly host: string;
  readonly port: number;
  /** As the server gets it: with a leading slash, except for `host:path` addresses, which start in the login's home. */
  readonly path: string;
  /** The address to give to git and to show; holds no secret. */
  readonly href: string;
  /** Last part of the path without `.git`, for naming things. */
  readonly name: string;
  readonly forge?: GitForge;
}

const MAX_LENGTH = 2048;
const DEFAULT_PORTS: Readonly<Record<GitScheme, number>> = { https: 443, http: 80, ssh: 22, file: 0 };
const FORGES: readonly (readonly [RegExp, GitForge])[] = [
  [/^(?:www\.)?github\.com$|^ssh\.github\.com$|^github\./, 'github'],
  [/^(?:altssh\.)?gitlab\.com$|^gitlab\./, 'gitlab'],
  [/^(?:altssh\.)?bitbucket\.org$|^bitbucket\./, 'bitbucket'],
  [/^codeberg\.org$/, 'codeberg'],
  [/^dev\.azure\.com$|^ssh\.dev\.azure\.com$|\.visualstudio\.com$/, 'azure'],
];

/**
 * Reads `https://host/path`, `http://…`, `ssh://[user@]host[:port]/path`, `[user@]host:path`, and with `allowLocal` also
 * `file:///path` and plain paths (absolute, or starting with `./` or `../`, relative to the working folder).
 * @throws KilnError git-url, with the reason and what to write instead
 */
export function parseGitUrl(text: string, options: { readonly allowLocal?: boolean } = {}): GitUrl {
  const input = text.trim();
  checkText(input);
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(input)?.[1]?.toLowerCase();
  if (/^[A-Za-z][A-Za-z0-9+.-]*::/.test(input)) {
    throw refuse(
      input,
      'it names a remote helper, which can run any program',
      'Use an https:// or ssh:// address.',
    );
  }
  if (scheme === undefined)
    return looksLocal(input) ? parseLocal(input, input, options) : parseScpLike(input);
  if (scheme === 'file') return parseFileUrl(input, options);
  if (scheme === 'ssh' || scheme === 'git+ssh' || scheme === 'ssh+git') return parseSshUrl(input);
  if (scheme === 'https' || scheme === 'http') return parseHttpUrl(input, scheme);
  throw refuse(
    input,
    `"${scheme}" is not a transport that Kiln uses`,
    scheme === 'git'
      ? 'git:// is not encrypted; use the https:// address.'
      : 'Use an https:// or ssh:// address.',
  );
}

function checkText(input: string): void {
  if (input === '') throw new KilnError('git-url', 'The repository address is empty', { hint: exampleHint });
  if (input.length > MAX_LENGTH) {
    throw new KilnError('git-url', `The repository address is longer than ${MAX_LENGTH} characters`, {
      hint: exampleHint,
    });
  }
  if (hasControl(input)) throw refuse(input, 'it holds control characters', exampleHint);
  if (input.startsWith('-'))
    throw refuse(input, 'it starts with a dash and could be taken for an option', exampleHint);
}

function parseHttpUrl(input: string, scheme: 'https' | 'http'): GitUrl {
  const url = parseUrl(input);
  if (url.username !== '' || url.password !== '') throw credentialsInUrl(input);
  const path = checkPath(input, url.pathname.replace(/\/+$/, ''));
  const port = portOf(input, url.port, scheme);
  const host = hostOf(input, url.hostname);
  return finish({ scheme, host, port, path }, `${scheme}://${authority(host, port, scheme)}${path}`);
}

function parseSshUrl(input: string): GitUrl {
  // The URL parser reads hosts of unknown schemes as opaque text, so the host is read as that of an http address.
  const url = parseUrl(input.replace(/^[^:]+:/, 'http:'));
  const port = portOf(
    input,
    /^[^/]*\/\/(?:[^/@]*@)?(?:\[[^\]]*\]|[^/:]*):(\d+)(?:\/|$)/.exec(input)?.[1] ?? '',
    'ssh',
  );
  if (url.password !== '') throw credentialsInUrl(input);
  const user = userOf(input, url.username === '' ? undefined : decode(input, url.username));
  const host = hostOf(input, url.hostname);
  const path = checkPath(input, url.pathname.replace(/\/+$/, ''));
  return sshUrl(user, host, port, path);
}

function parseScpLike(input: string): GitUrl {
  const match = /^(?:([^@/:]*)@)?(\[[^\]]*\]|[^/:@[\]]+):(?!\/\/|:)(.+)$/.exec(input);
  // `user:password@host:path` would be read as the path `password@host:path` on the host `user`.
  if (/^[^/@[\]]*:[^/]*@/.test(input)) throw credentialsInUrl(input.slice(input.lastIndexOf('@') + 1));
  if (match === null) {
    throw refuse(input, 'it is neither a URL nor of the form user@host:path', exampleHint);
  }
  const user = userOf(input, match[1]);
  const host = hostOf(input, parseUrl(`http://${match[2] ?? ''}/`).hostname);
  const path = checkPath(input, (match[3] ?? '').replace(/\/+$/, ''));
  if (path.startsWith('/')) return sshUrl(user, host, DEFAULT_PORTS.ssh, path);
  const shownHost = isIP(host) === 6 ? `[${host}]` : host;
  const href = `${user === undefined ? '' : `${user}@`}${shownHost}:${path}`;
  return finish({ scheme: 'ssh', user, host, port: DEFAULT_PORTS.ssh, path }, href);
}

function sshUrl(user: string | undefined, host: string, port: number, path: string): GitUrl {
  const login = user === undefined ? '' : `${user}@`;
  return finish(
    { scheme: 'ssh', user, host, port, path },
    `ssh://${login}${authority(host, port, 'ssh')}${path}`,
  );
}

function parseFileUrl(input: string, options: { readonly allowLocal?: boolean }): GitUrl {
  const url = parseUrl(input);
  if (url.hostname !== '') throw refuse(input, 'a file:// address cannot name another host', exampleHint);
  return parseLocal(input, decode(input, url.pathname), options);
}

function parseLocal(input: string, path: string, options: { readonly allowLocal?: boolean }): GitUrl {
  if (options.allowLocal !== true) {
    throw refuse(
      input,
      'it is a path on the server itself',
      'Give an https:// or ssh:// address that the server can reach.',
    );
  }
  const absolute = resolve(path);
  if (hasControl(absolute)) throw refuse(input, 'it holds control characters', exampleHint);
  const encoded = absolute.split('/').map(encodeURIComponent).join('/');
  return finish({ scheme: 'file', host: '', port: 0, path: absolute }, `file://${encoded}`);
}

function finish(parts: Omit<GitUrl, 'href' | 'name' | 'forge'>, href: string): GitUrl {
  const last = parts.path.split('/').findLast((part) => part !== '') ?? '';
  const forge = FORGES.find(([pattern]) => pattern.test(parts.host))?.[1];
  const { user, ...rest } = parts;
  return {
    ...rest,
    ...(user === undefined ? {} : { user }),
    href,
    name: last.replace(/\.git$/, '') || parts.host || 'repository',
    ...(forge === undefined ? {} : { forge }),
  };
}

function parseUrl(input: string): URL {
  if (/[\s\\]/.test(input)) throw refuse(input, 'it holds a space or a backslash', exampleHint);
  if (/[?#]/.test(input)) {
    throw refuse(
      input,
      'it holds a query or a fragment',
      'Give the branch, tag or commit separately from the address.',
    );
  }
  // The URL parser would take the first part of the path for the host.
  const url = /^(?!file:)[^:]+:\/\/\//i.test(input) ? null : URL.parse(input);
  if (url === null) throw refuse(input, 'its host or port is not valid', exampleHint);
  return url;
}

function hostOf(input: string, hostname: string): string {
  const host = hostname
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
    .toLowerCase();
  if (host.startsWith('-')) throw refuse(input, 'its host starts with a dash', exampleHint);
  const valid = isIP(host) !== 0 || /^[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_][a-z0-9_-]{0,62})*$/.test(host);
  if (host === '' || host.length > 253 || !valid) throw refuse(input, 'its host is not valid', exampleHint);
  return host;
}

function portOf(input: string, text: string, scheme: GitScheme): number {
  if (text === '') return DEFAULT_PORTS[scheme];
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65535) {
    throw refuse(input, `port ${text} is not between 1 and 65535`, exampleHint);
  }
  return port;
}

function userOf(input: string, user: string | undefined): string | undefined {
  if (user === undefined) return undefined;
  if (!/^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$/.test(user)) {
    throw refuse(input, 'its login name is not valid', 'Most forges want git@host:owner/repository.git.');
  }
  return user;
}

function checkPath(input: string, path: string): string {
  if (path === '' || path === '/') throw refuse(input, 'it names a host but no repository', exampleHint);
  // GitLab keeps snippets below `/-/`; any other leading dash has no honest use.
  if (/^\/?-(?!\/)/.test(path) || path.startsWith('-'))
    throw refuse(input, 'its path starts with a dash', exampleHint);
  const plain = decode(input, path);
  if (hasControl(plain)) throw refuse(input, 'it holds control characters', exampleHint);
  if (plain.split('/').includes('..')) throw refuse(input, 'its path holds ".."', exampleHint);
  return path;
}

function decode(input: string, text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw refuse(
      input,
      'it holds a percent sign that is not an encoded character',
      'Write a percent sign as %25.',
    );
  }
}

function authority(host: string, port: number, scheme: GitScheme): string {
  const shown = isIP(host) === 6 ? `[${host}]` : host;
  return port === DEFAULT_PORTS[scheme] ? shown : `${shown}:${port}`;
}

function looksLocal(input: string): boolean {
  return (
    isAbsolute(input) || input === '.' || input === '..' || input.startsWith('./') || input.startsWith('../')
  );
}

function hasControl(text: string): boolean {
  // C0 controls, delete, C1 controls, and the bidirectional and line separators that make text look like other text.
  return /[\p{Cc}\u2028-\u202e\u2066-\u2069]/u.test(text);
}

const exampleHint =
  'Write it like https://github.com/owner/repository.git or git@github.com:owner/repository.git.';

function refuse(input: string, reason: string, hint: string): KilnError {
  return new KilnError('git-url', `The repository address is refused: ${reason}`, {
    where: shown(input),
    hint,
  });
}

function credentialsInUrl(input: string): KilnError {
  return new KilnError('git-url', 'The repository address is refused: it holds a user name or password', {
    where: shown(input),
    hint: 'Addresses are logged and stored. Remove what is before "@" and give it as an access token (`accessToken`, `--token-file`) or SSH key.',
  });
}

/** The address as it may be printed: one line, no credentials, not endless. */
function shown(input: string): string {
  const safe = redact(input).replace(/[\p{Cc}\u2028-\u202e\u2066-\u2069]/gu, '\ufffd');
  return safe.length > 200 ? `${safe.slice(0, 200)}…` : safe;
}
