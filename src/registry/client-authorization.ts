/** The Authorization header for each registry: Basic, or bearer tokens by the challenge that the registry sends. */
import { z } from 'zod';
import { KilnError } from '../base/error.ts';
import { Secret } from '../base/secret.ts';
import { exchange, readAnswer } from './client-http.ts';
import { isPassingStatus, passing, retryAfterMs } from './client-retry.ts';
import type { Credentials, CredentialSource } from './docker-credentials.ts';

export interface Challenge {
  readonly scheme: 'basic' | 'bearer';
  readonly parameters: Readonly<Record<string, string>>;
}

const tokenSchema = z.object({
  token: z.string().optional(),
  access_token: z.string().optional(),
  expires_in: z.number().optional(),
});

/** Tokens are renewed this long before they end: a request may take a while to arrive. */
const RENEW_BEFORE_MS = 15_000;
const DEFAULT_TOKEN_S = 60;

/** Keeps what one registry needs; one per host. */
export class Authorization {
  readonly #host: string;
  readonly #source: CredentialSource;
  #challenge: Challenge | undefined;
  readonly #tokens = new Map<string, { readonly header: Secret; readonly endsAt: number }>();
  #basic: Secret | undefined;

  constructor(host: string, source: CredentialSource) {
    this.#host = host;
    this.#source = source;
  }

  /** The header for a request with these scopes, if the registry has asked for any so far. */
  async header(scopes: readonly string[], signal?: AbortSignal): Promise<Secret | undefined> {
    if (this.#challenge === undefined) return undefined;
    if (this.#challenge.scheme === 'basic') return this.#basic;
    const key = [...scopes].toSorted().join(' ');
    const known = this.#tokens.get(key);
    if (known !== undefined && known.endsAt > Date.now()) return known.header;
    return await this.#fetchToken(this.#challenge, key, scopes, signal);
  }

  /**
   * Takes the challenge of a 401 in. False: it cannot be answered better than it was, so trying again is useless.
   * `sent` is the header that the refused request carried.
   */
  async answer(
    wwwAuthenticate: string | undefined,
    sent: Secret | undefined,
    signal?: AbortSignal,
  ): Promise<boolean> {
    const challenge = parseChallenge(wwwAuthenticate);
    if (challenge === undefined) return false;
    const first = this.#challenge === undefined;
    this.#challenge = challenge;
    if (challenge.scheme === 'bearer') {
      for (const [key, token] of this.#tokens) if (token.header === sent) this.#tokens.delete(key);
      return first || sent === undefined || !this.#fresh(sent);
    }
    const credentials = await this.#source(this.#host, signal);
    if (credentials?.kind !== 'password' || sent !== undefined) return false;
    this.#basic = new Secret(`Basic ${basic(credentials)}`);
    return true;
  }

  readonly #issued = new WeakMap<Secret, number>();

  /** A token refused right after it was given is refused for what it is, not for its age. */
  #fresh(header: Secret): boolean {
    return Date.now() - (this.#issued.get(header) ?? 0) < 5000;
  }

  async #fetchToken(
    challenge: Challenge,
    key: string,
    scopes: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<Secret> {
    const realm = tokenUrl(challenge, this.#host);
    const credentials = await this.#source(this.#host, signal);
    const { service } = challenge.parameters;
    const parameters = new URLSearchParams(service === undefined ? {} : { service });
    const answer =
      credentials?.kind === 'identity'
        ? await postIdentity(realm, parameters, scopes, credentials.token, signal)
        : await getToken(realm, parameters, scopes, credentials, signal);
    const body = await readAnswer(answer, 2 ** 20);
    if (answer.status !== 200) throw tokenRefused(answer.status, realm, answer.header('retry-after'));
    const parsed = tokenSchema.safeParse(JSON.parse(body.toString('utf8')));
    const token = parsed.data?.token ?? parsed.data?.access_token;
    if (token === undefined) throw new KilnError('registry-failed', `${realm.host} gave no token`);
    const header = new Secret(`Bearer ${token}`);
    const seconds = parsed.data?.expires_in ?? DEFAULT_TOKEN_S;
    this.#tokens.set(key, { header, endsAt: Date.now() + Math.max(seconds * 1000 - RENEW_BEFORE_MS, 1000) });
    this.#issued.set(header, Date.now());
    return header;
  }
}

/** Reads `Bearer realm="…",service="…"` or `Basic realm="…"` (RFC 9110 section 11.6.1). */
export function parseChallenge(header: string | undefined): Challenge | undefined {
  const match = /(?:^|, *)(Bearer|Basic)\b *(.*)$/i.exec(header ?? '');
  if (match === null) return undefined;
  const parameters: Record<string, string> = {};
  for (const [, name = '', quoted, plain] of (match[2] ?? '').matchAll(
    /([a-z_]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/gi,
  )) {
    parameters[name.toLowerCase()] = (quoted ?? plain ?? '').replace(/\\(.)/g, '$1');
  }
  return { scheme: match[1]?.toLowerCase() === 'basic' ? 'basic' : 'bearer', parameters };
}

/** Credentials go to this URL: it must be protected as the registry itself is. */
function tokenUrl(challenge: Challenge, host: string): URL {
  const realm = URL.parse(challenge.parameters['realm'] ?? '');
  const local = realm !== null && /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(realm.hostname);
  if (realm !== null && (realm.protocol === 'https:' || local || realm.host === host)) return realm;
  throw new KilnError('registry-failed', `${host} names no safe address for tokens`, {
    hint: 'The realm of its challenge must be an HTTPS address.',
  });
}

function getToken(
  realm: URL,
  parameters: URLSearchParams,
  scopes: readonly string[],
  credentials: Credentials | undefined,
  signal: AbortSignal | undefined,
): ReturnType<typeof exchange> {
  const url = new URL(realm);
  for (const [name, value] of parameters) url.searchParams.set(name, value);
  for (const scope of scopes) url.searchParams.append('scope', scope);
  if (credentials?.kind === 'password') url.searchParams.set('account', credentials.username);
  return exchange({
    method: 'GET',
    url,
    headers: credentials?.kind === 'password' ? { authorization: `Basic ${basic(credentials)}` } : {},
    ...(signal === undefined ? {} : { signal }),
  });
}

function postIdentity(
  realm: URL,
  parameters: URLSearchParams,
  scopes: readonly string[],
  token: Secret,
  signal: AbortSignal | undefined,
): ReturnType<typeof exchange> {
  const form = new URLSearchParams(parameters);
  form.set('grant_type', 'refresh_token');
  form.set('refresh_token', token.reveal());
  form.set('client_id', 'kiln');
  form.set('scope', scopes.join(' '));
  const body = Buffer.from(form.toString());
  const headers = {
    'content-type': 'application/x-www-form-urlencoded',
    'content-length': String(body.length),
  };
  return exchange({ method: 'POST', url: realm, headers, body, ...(signal === undefined ? {} : { signal }) });
}

function basic(credentials: Extract<Credentials, { kind: 'password' }>): string {
  return Buffer.from(`${credentials.username}:${credentials.password.reveal()}`).toString('base64');
}

function tokenRefused(status: number, realm: URL, retryAfter: string | undefined): KilnError {
  if (isPassingStatus(status)) {
    const failure = new KilnError('registry-failed', `${realm.host} gave no token: status ${status}`);
    return passing(failure, retryAfterMs(retryAfter, Date.now()));
  }
  return new KilnError('unauthorized', `${realm.host} refused the credentials: status ${status}`, {
    hint: 'Log in again with `docker login`, or set DOCKER_REGISTRY_USERNAME and DOCKER_REGISTRY_PASSWORD.',
  });
}
