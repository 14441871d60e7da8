/** Requests to one repository of any registry: authorization, redirects, retries and errors in one place. */
import type { OciDigest, RepositoryName } from '../base/brand.ts';
import { KilnError } from '../base/error.ts';
import { digestAlgorithm, digestOf, isDigest } from '../oci/digest.ts';
import { MANIFEST_LIMIT } from '../oci/manifest.ts';
import { MANIFEST_TYPES } from '../oci/media-types.ts';
import { Authorization } from './client-authorization.ts';
import { exchange, type HttpAnswer, type HttpExchange, readAnswer } from './client-http.ts';
import {
  DEFAULT_RETRY,
  isPassingStatus,
  passing,
  retryAfterMs,
  type RetryPolicy,
  withRetry,
} from './client-retry.ts';
import { type CredentialSource, dockerCredentials } from './docker-credentials.ts';

export interface RegistryClientOptions {
  /** Default: {@link dockerCredentials}. */
  readonly credentials?: CredentialSource;
  /** Hosts spoken to without TLS, besides loopback addresses. */
  readonly plainHosts?: readonly string[];
  readonly retry?: RetryPolicy;
  readonly onRetry?: (error: KilnError, pauseMs: number) => void;
}

export interface RemoteManifest {
  readonly digest: OciDigest;
  readonly mediaType: string;
  readonly content: Buffer;
}

export interface RemoteRequest {
  readonly method: string;
  /** Path below `/v2/<repository>/`, or an address that the registry gave. */
  readonly target: string | URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: HttpExchange['body'];
  /** Statuses that are answers; others are errors. */
  readonly expect: readonly number[];
  readonly scopes?: readonly string[];
  readonly signal?: AbortSignal;
}

const MAX_REDIRECTS = 5;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/** Shares tokens between repositories of a host. */
export class RegistryClient {
  readonly #options: RegistryClientOptions;
  readonly #authorizations = new Map<string, Authorization>();
  readonly retryPolicy: RetryPolicy;

  constructor(options: RegistryClientOptions = {}) {
    this.#options = options;
    this.retryPolicy = options.retry ?? DEFAULT_RETRY;
  }

  repository(host: string, name: RepositoryName): RemoteRepository {
    const endpoint = host === 'docker.io' || host === 'index.docker.io' ? 'registry-1.docker.io' : host;
    const hub = endpoint === 'registry-1.docker.io' && !name.includes('/');
    const plain = isLoopback(endpoint) || (this.#options.plainHosts ?? []).includes(endpoint);
    const base = new URL(`${plain ? 'http' : 'https'}://${endpoint}/v2/${hub ? `library/${name}` : name}/`);
    let authorization = this.#authorizations.get(endpoint);
    if (authorization === undefined) {
      authorization = new Authorization(endpoint, this.#options.credentials ?? dockerCredentials());
      this.#authorizations.set(endpoint, authorization);
    }
    return new RemoteRepository(this, endpoint, hub ? `library/${name}` : name, base, authorization);
  }

  /** Repeats `work` while it fails for passing reasons. */
  retrying<T>(work: (attempt: number) => Promise<T>, signal?: AbortSignal): Promise<T> {
    return withRetry(work, this.retryPolicy, {
      ...(signal === undefined ? {} : { signal }),
      ...(this.#options.onRetry === undefined ? {} : { onRetry: this.#options.onRetry }),
    });
  }
}

export class RemoteRepository {
  readonly client: RegistryClient;
  readonly host: string;
  readonly name: string;
  readonly #base: URL;
  readonly #authorization: Authorization;

  constructor(client: RegistryClient, host: string, name: string, base: URL, authorization: Authorization) {
    this.client = client;
    this.host = host;
    this.name = name;
    this.#base = base;
    this.#authorization = authorization;
  }

  /** One request without retries, but with as many as authorization and redirects take. */
  async request(request: RemoteRequest): Promise<HttpAnswer> {
    const scopes = request.scopes ?? [
      `repository:${this.name}:${request.method === 'GET' || request.method === 'HEAD' ? 'pull' : 'pull,push'}`,
    ];
    let url = typeof request.target === 'string' ? new URL(request.target, this.#base) : request.target;
    for (let hop = 0, refused = 0; ;) {
      const own = url.host === this.#base.host;
      // Credentials are for the registry, not for where it sends us; nor in the clear where it is spoken to with TLS.
      const trusted = own && (url.protocol === this.#base.protocol || url.protocol === 'https:');
      const header = trusted ? await this.#authorization.header(scopes, request.signal) : undefined;
      const answer = await exchange({
        method: request.method,
        url,
        headers: {
          'user-agent': 'kiln',
          ...request.headers,
          ...(header === undefined ? {} : { authorization: header.reveal() }),
        },
        ...(request.body === undefined ? {} : { body: request.body }),
        publicOnly: !own,
        ...(request.signal === undefined ? {} : { signal: request.signal }),
      });
      const location = answer.header('location');
      if (REDIRECTS.has(answer.status) && location !== undefined && hop < MAX_REDIRECTS) {
        hop++;
        answer.discard();
        url = new URL(location, url);
        continue;
      }
      if (answer.status === 401 && own && refused < 2) {
        refused++;
        if (await this.#authorization.answer(answer.header('www-authenticate'), header, request.signal)) {
          answer.discard();
          // A body that streams cannot be sent twice from here; its owner opens it again.
          if (request.body !== undefined && !Buffer.isBuffer(request.body))
            throw passing(await this.#failure(answer, request));
          continue;
        }
      }
      if (request.expect.includes(answer.status)) return answer;
      throw await this.#failure(answer, request);
    }
  }

  /** The manifest behind a tag or digest, checked against its digest; undefined where there is none. */
  async readManifest(reference: string, signal?: AbortSignal): Promise<RemoteManifest | undefined> {
    return await this.client.retrying(async () => {
      const answer = await this.request({
        method: 'GET',
        target: `manifests/${reference}`,
        headers: { accept: [...MANIFEST_TYPES].join(', ') },
        expect: [200, 404],
        ...(signal === undefined ? {} : { signal }),
      });
      const content = await readAnswer(answer, MANIFEST_LIMIT);
      if (answer.status === 404) return undefined;
      return checkedManifest(answer, content, reference);
    }, signal);
  }

  /** Digest of what the registry has under a tag or digest, without its bytes. */
  async headManifest(reference: string, signal?: AbortSignal): Promise<OciDigest | undefined> {
    return await this.client.retrying(async () => {
      const answer = await this.request({
        method: 'HEAD',
        target: `manifests/${reference}`,
        headers: { accept: [...MANIFEST_TYPES].join(', ') },
        expect: [200, 404],
        ...(signal === undefined ? {} : { signal }),
      });
      answer.discard();
      if (answer.status === 404) return undefined;
      const digest = answer.header('docker-content-digest') ?? (isDigest(reference) ? reference : '');
      return isDigest(digest) ? digest : (await this.readManifest(reference, signal))?.digest;
    }, signal);
  }

  /** Returns whether the registry took note of the subject (`OCI-Subject`). */
  async putManifest(
    reference: string,
    manifest: RemoteManifest,
    signal?: AbortSignal,
  ): Promise<{ subject: boolean }> {
    return await this.client.retrying(async () => {
      const answer = await this.request({
        method: 'PUT',
        target: `manifests/${reference}`,
        headers: { 'content-type': manifest.mediaType, 'content-length': String(manifest.content.length) },
        body: manifest.content,
        expect: [200, 201, 202],
        ...(signal === undefined ? {} : { signal }),
      });
      answer.discard();
      const digest = answer.header('docker-content-digest');
      if (digest !== undefined && digest !== manifest.digest) {
        throw new KilnError(
          'registry-failed',
          `${this.host} stored the manifest as ${digest}, not ${manifest.digest}`,
        );
      }
      return { subject: answer.header('oci-subject') !== undefined };
    }, signal);
  }

  async hasBlob(digest: OciDigest, signal?: AbortSignal): Promise<boolean> {
    return await this.client.retrying(async () => {
      const answer = await this.request({
        method: 'HEAD',
        target: `blobs/${digest}`,
        expect: [200, 404],
        ...(signal === undefined ? {} : { signal }),
      });
      answer.discard();
      return answer.status === 200;
    }, signal);
  }

  /** True where the other end is Kiln's own registry, which takes uncompressed layers gladly. */
  async isKiln(signal?: AbortSignal): Promise<boolean> {
    return await this.client.retrying(async () => {
      const answer = await this.request({
        method: 'GET',
        target: new URL('/v2/', this.#base),
        expect: [200, 401, 403, 404],
        ...(signal === undefined ? {} : { signal }),
      });
      answer.discard();
      return answer.header('kiln-registry') !== undefined;
    }, signal);
  }

  async #failure(answer: HttpAnswer, request: RemoteRequest): Promise<KilnError> {
    const body = await readAnswer(answer, 64 * 1024).catch(() => Buffer.alloc(0));
    const { status } = answer;
    const said = firstError(body);
    const message = `${this.host} answered ${request.method} with ${status}${said.message === '' ? '' : `: ${said.message}`}`;
    const options = {
      where: `${this.host}/${this.name}`,
      fields: { status, ...(said.code === '' ? {} : { remote: said.code }) },
    };
    if (status === 401 || status === 403) {
      return new KilnError(status === 401 ? 'unauthorized' : 'forbidden', message, {
        ...options,
        hint: `Log in with \`docker login ${this.host}\`, or ask for the right to push to ${this.name}.`,
      });
    }
    const failure = new KilnError(status === 404 ? 'not-found' : 'registry-failed', message, options);
    return isPassingStatus(status)
      ? passing(failure, retryAfterMs(answer.header('retry-after'), Date.now()))
      : failure;
  }
}

function checkedManifest(answer: HttpAnswer, content: Buffer, reference: string): RemoteManifest {
  const declared = answer.header('docker-content-digest');
  const wanted = isDigest(reference)
    ? reference
    : declared !== undefined && isDigest(declared)
      ? declared
      : undefined;
  const digest = digestOf(content, wanted === undefined ? 'sha256' : digestAlgorithm(wanted));
  if (wanted !== undefined && digest !== wanted) {
    throw passing(
      new KilnError(
        'hash-mismatch',
        `${answer.url.host} sent a manifest with the digest ${digest}, not ${wanted}`,
      ),
    );
  }
  return { digest, mediaType: answer.header('content-type')?.split(';')[0]?.trim() ?? '', content };
}

function firstError(body: Buffer): { code: string; message: string } {
  try {
    const parsed = JSON.parse(body.toString('utf8')) as { errors?: { code?: unknown; message?: unknown }[] };
    const [error] = parsed.errors ?? [];
    const [code, message] = [error?.code, error?.message].map((part) =>
      typeof part === 'string' ? part : '',
    );
    return { code: code ?? '', message: `${code} ${message}`.trim().slice(0, 500) };
  } catch {
    return { code: '', message: '' };
  }
}

function isLoopback(host: string): boolean {
  return /^(?:localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])(?::\d+)?$/.test(host);
}
