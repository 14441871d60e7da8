/** `KilnApi` over HTTP: what the command line uses when a server runs. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ERRORS, KilnError, type ErrorCode, type Failure } from '../base/error.ts';
import { splitLines } from '../process/split-lines.ts';
import type { BuildEvent, LogLineView } from '../pipeline/build-view.ts';
import type { KilnApi } from './kiln-api.ts';

export interface HttpClientOptions {
  readonly token?: string | undefined;
  readonly signal: AbortSignal;
}

const RECONNECT_MS = 1000;

export function connectHttp(url: string, options: HttpClientOptions): KilnApi {
  const client = new HttpClient(url, options);
  return {
    place: url,
    createBuild: (request, credentials) => client.post('builds', { ...request, credentials }),
    explainBuild: (request, credentials) => client.post('builds/explain', { ...request, credentials }),
    getBuild: (id) => client.get(`builds/${encodeURIComponent(id)}`),
    listBuilds: (filter) => client.get(`builds${query({ ...filter })}`),
    cancelBuild: (id) => client.post(`builds/${encodeURIComponent(id)}/cancel`, {}),
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
      throw new KilnError('unreachable', `the Kiln server at ${this.#base} does not answer`, {
        cause,
        hint: 'Start it (kiln serve), or unset KILN_URL to work without one.',
      });
    });
    if (!response.ok) throw await readError(response);
    return response;
  }

  async *lines(path: string): AsyncGenerator<LogLineView> {
    const response = await this.request('GET', path);
    for await (const line of readLines(response)) if (line !== '') yield JSON.parse(line) as LogLineView;
  }

  /** Reconnects after a lost connection and goes on behind the last line that was seen. */
  async *follow(
    id: string,
    options: { readonly after?: number; readonly signal: AbortSignal },
  ): AsyncGenerator<BuildEvent> {
    let after = options.after ?? 0;
    while (!options.signal.aborted) {
      try {
        const headers: Record<string, string> = after > 0 ? { 'last-event-id': String(after) } : {};
        const response = await this.request(
          'GET',
          `builds/${encodeURIComponent(id)}/events`,
          undefined,
          headers,
          options.signal,
        );
        for await (const line of readLines(response)) {
          if (!line.startsWith('data: ')) continue;
          const event = JSON.parse(line.slice('data: '.length)) as BuildEvent;
          if (event.type === 'log') after = event.line.sequence;
          yield event;
          if (event.type === 'end') return;
        }
      } catch (error) {
        if (options.signal.aborted) return;
        if (error instanceof KilnError && error.code !== 'unreachable') throw error;
      }
      await sleep(RECONNECT_MS);
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
  const { code, message, hint, where } = body.error ?? {};
  const known: ErrorCode = code !== undefined && code !== 'bug' ? code : 'unreachable';
  return new KilnError(
    known in ERRORS ? known : 'unreachable',
    message ?? `the server answered ${response.status}`,
    {
      ...(hint === undefined ? {} : { hint }),
      ...(where === undefined ? {} : { where }),
    },
  );
}

function query(parameters: Readonly<Record<string, string | number | undefined>>): string {
  const present = Object.entries(parameters).filter(([, value]) => value !== undefined);
  return present.length === 0
    ? ''
    : `?${new URLSearchParams(present.map(([key, value]): [string, string] => [key, String(value)])).toString()}`;
}
