/** `KilnApi` over HTTP: what the command line uses when a server runs. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ERRORS, KilnError, type ErrorCode, type Failure } from '../base/error.ts';
import { splitLines } from '../process/split-lines.ts';
import type { BuildEvent, BuildView, LogLineView, LogPosition } from '../pipeline/build-view.ts';
import type { KilnApi } from './kiln-api.ts';

export interface HttpClientOptions {
  readonly token?: string | undefined;
  readonly signal: AbortSignal;
}

const RECONNECT_MS = 1000;
/** A server that restarts is back before this. */
const GIVE_UP_MS = 300_000;
const CANCEL_MS = 30_000;

export function connectHttp(url: string, options: HttpClientOptions): KilnApi {
  const client = new HttpClient(url, options);
  return {
    place: url,
    registry: {
      listTokens: () => client.get('registry/tokens'),
      createToken: (request) => client.post('registry/tokens', request),
      revokeToken: async (name) =>
        void (await client.request('DELETE', `registry/tokens/${encodeURIComponent(name)}`)),
      explainImages: () => client.get('registry/kept'),
      pinImage: async (reference, pinned) =>
        void (await client.request('POST', 'registry/pins', { reference, pinned })),
      listPushes: (buildId) => client.get(`registry/pushes${query({ buildId })}`),
    },
    images: {
      compare: (from, to) => client.get(`images/compare${query({ from, to })}`),
      exportImage: (reference, format) => client.bytes(`images/export${query({ reference, format })}`),
      createIndex: (reference, members) => client.post('images/index', { reference, members }),
    },
    createBuild: (request, credentials) => client.post('builds', { ...request, credentials }),
    explainBuild: (request, credentials) => client.post('builds/explain', { ...request, credentials }),
    getBuild: (id) => client.get(`builds/${encodeURIComponent(id)}`),
    listBuilds: (filter) => client.get(`builds${query({ ...filter })}`),
    cancelBuild: (id) => client.cancel(id),
    retryBuild: (id) => client.post(`builds/${encodeURIComponent(id)}/retry`, {}),
    followBuild: (id, follow) => client.follow(id, follow),
    readLog: (id, selection) =>
      client.lines(`builds/${encodeURIComponent(id)}/log${query({ ...selection })}`),
    listImages: () => client.get('images'),
    getImage: (reference) => client.get(`image${query({ reference })}`),
    getRunnable: (reference) => client.get(`image/run${query({ reference })}`),
    deleteImage: async (reference) => void (await client.request('DELETE', `image${query({ reference })}`)),
    pushImage: (reference, destination) => client.post('images/push', { reference, destination }),
    cacheStatistics: () => client.get('cache/statistics'),
    collectGarbage: (selection) => client.post('cache/gc', selection),
    [Symbol.asyncDispose]: async () => undefined,
  };
}

class HttpClient {
  readonly #base: string;
  readonly #options: HttpClientOptions;

  constructor(url: string, options: HttpClientOptions) {
    this.#base = `${url.replace(/\/+$/, '')}/api/v1/`;
    this.#options = options;
  }

  async get<T>(path: string): Promise<T> {
    return (await (await this.request('GET', path)).json()) as T;
  }

  async post<T>(path: string, body: unknown): Promise<T> {
    return (await (await this.request('POST', path, body)).json()) as T;
  }

  async request(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
    signal = this.#options.signal,
  ): Promise<Response> {
    const { token } = this.#options;
    const response = await fetch(this.#base + path, {
      method,
      signal,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(token === undefined || token === '' ? {} : { authorization: `Bearer ${token}` }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    }).catch((cause: unknown) => {
      if (signal.aborted) throw new KilnError('cancelled', 'interrupted', { cause });
      throw new KilnError('unreachable', 'the Kiln server does not answer', {
        where: this.#base,
        cause,
        hint: 'Start it (kiln serve), or unset KILN_URL to work without one.',
      });
    });
    if (!response.ok) throw await readError(response);
    return response;
  }

  /** Sent even after an interrupt: that is when it is wanted most. */
  async cancel(id: string): Promise<BuildView> {
    const path = `builds/${encodeURIComponent(id)}/cancel`;
    return (await (
      await this.request('POST', path, {}, {}, AbortSignal.timeout(CANCEL_MS))
    ).json()) as BuildView;
  }

  async *bytes(path: string): AsyncGenerator<Uint8Array> {
    const response = await this.request('GET', path);
    yield* response.body ?? [];
  }

  async *lines(path: string): AsyncGenerator<LogLineView> {
    const response = await this.request('GET', path);
    for await (const line of readLines(response)) if (line !== '') yield JSON.parse(line) as LogLineView;
  }

  /** Reconnects after a lost connection and goes on behind the last line that was seen. @throws KilnError unreachable */
  async *follow(
    id: string,
    options: { readonly after?: LogPosition; readonly signal: AbortSignal },
  ): AsyncGenerator<BuildEvent> {
    let { after } = options;
    let lost = false;
    let alive = performance.now();
    while (!options.signal.aborted) {
      try {
        const position = after === undefined ? undefined : `${after.attempt}.${after.sequence}`;
        for await (const event of this.#events(id, position, options.signal)) {
          alive = performance.now();
          if (event.type === 'log') after = { attempt: event.attempt, sequence: event.line.sequence };
          if (lost) yield { type: 'notice', text: `connected to ${this.#base} again` };
          lost = false;
          yield event;
          if (event.type === 'end') return;
        }
      } catch (error) {
        if (options.signal.aborted) return;
        if (error instanceof KilnError && error.retry !== 'backoff') throw error;
        if (performance.now() - alive > GIVE_UP_MS) throw error;
      }
      if (!lost) yield { type: 'notice', text: `lost the connection to ${this.#base}, trying again` };
      lost = true;
      await sleep(RECONNECT_MS, undefined, { signal: options.signal }).catch(() => undefined);
    }
  }

  async *#events(id: string, position: string | undefined, signal: AbortSignal): AsyncGenerator<BuildEvent> {
    const path = `builds/${encodeURIComponent(id)}/events`;
    const headers: Record<string, string> = position === undefined ? {} : { 'last-event-id': position };
    const response = await this.request('GET', path, undefined, headers, signal);
    for await (const line of readLines(response)) {
      if (line.startsWith('data: ')) yield JSON.parse(line.slice('data: '.length)) as BuildEvent;
    }
  }
}

async function* readLines(response: Response): AsyncGenerator<string> {
  const ready: string[] = [];
  const lines = splitLines((line) => ready.push(line));
  for await (const chunk of response.body ?? []) {
    lines.write(Buffer.from(chunk));
    yield* ready.splice(0);
  }
  lines.end();
  yield* ready.splice(0);
}

async function readError(response: Response): Promise<KilnError> {
  const body = (await response.json().catch(() => ({}))) as { readonly error?: Partial<Failure> };
  const { code, message, hint, where, fields } = body.error ?? {};
  const known: ErrorCode = code !== undefined && code !== 'bug' ? code : 'unreachable';
  return new KilnError(
    known in ERRORS ? known : 'unreachable',
    message ?? `the server answered ${response.status}`,
    {
      ...(hint === undefined ? {} : { hint }),
      ...(where === undefined ? {} : { where }),
      ...(fields === undefined ? {} : { fields }),
    },
  );
}

function query(parameters: Readonly<Record<string, string | number | undefined>>): string {
  const present = Object.entries(parameters).filter(([, value]) => value !== undefined);
  return present.length === 0
    ? ''
    : `?${new URLSearchParams(present.map(([key, value]): [string, string] => [key, String(value)])).toString()}`;
}
