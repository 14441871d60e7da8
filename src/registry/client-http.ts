/** One HTTP exchange of the registry client. Bodies stream both ways; redirects and errors are the caller's. */
import { lookup as dnsLookup } from 'node:dns';
import http from 'node:http';
import https from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import { KilnError, systemErrorCode } from '../base/error.ts';
import { isPrivateAddress } from './private-address.ts';
import { passing } from './client-retry.ts';

export interface HttpExchange {
  readonly method: string;
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: AsyncIterable<Buffer> | Buffer;
  /** Refuse addresses of private networks: the URL came from a server. */
  readonly publicOnly?: boolean;
  readonly signal?: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  readonly url: URL;
  header(name: string): string | undefined;
  /** Bytes as they come. Must be read to the end or destroyed by `discard`. */
  readonly body: http.IncomingMessage;
  discard(): void;
}

const IDLE_MS = 120_000;
const plainAgent = new http.Agent({ keepAlive: true, maxSockets: 16, timeout: IDLE_MS });
const secureAgent = new https.Agent({ keepAlive: true, maxSockets: 16, timeout: IDLE_MS });

/** @throws KilnError unreachable (passing), forbidden */
export async function exchange(request: HttpExchange): Promise<HttpAnswer> {
  const { url, publicOnly = false } = request;
  const hostname = url.hostname.replace(/^\[|\]$/g, '');
  if (publicOnly && isIP(hostname) !== 0 && isPrivateAddress(hostname)) throw privateTarget(url);
  const secure = url.protocol === 'https:';
  const outgoing = (secure ? https : http).request(url, {
    method: request.method,
    headers: request.headers,
    agent: secure ? secureAgent : plainAgent,
    ...(publicOnly ? { lookup: publicLookup(url), agent: false } : {}),
    ...(request.signal === undefined ? {} : { signal: request.signal }),
  });
  outgoing.setTimeout(IDLE_MS, () => outgoing.destroy(new Error(`nothing happened for ${IDLE_MS / 1000} s`)));
  const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
    outgoing.once('response', resolve);
    outgoing.on('error', (error) => reject(connectionFailure(error, url, request.signal)));
    // What the source of the body throws is no failure of the network.
    writeBody(outgoing, request.body).catch((error: unknown) => {
      reject(error);
      outgoing.destroy();
    });
  });
  return {
    status: response.statusCode ?? 0,
    url,
    header: (name) => {
      const value = response.headers[name];
      return Array.isArray(value) ? value.join(', ') : value;
    },
    body: response,
    discard: () => void response.resume(),
  };
}

/** A body of at most `limit` bytes. @throws KilnError registry-failed, unreachable */
export async function readAnswer(answer: HttpAnswer, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of answer.body as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > limit)
        throw new KilnError('registry-failed', `${answer.url.host} sent more than ${limit} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    throw connectionFailure(error, answer.url, undefined);
  }
  return Buffer.concat(chunks);
}

/** A failure between here and `url`; what is a KilnError already stays as it is. */
export function connectionFailure(error: unknown, url: URL, signal: AbortSignal | undefined): unknown {
  if (error instanceof KilnError) return error;
  if (signal?.aborted === true) return new KilnError('cancelled', `The request to ${url.host} was cancelled`);
  const reason = error instanceof Error ? error.message : String(error);
  const code = systemErrorCode(error);
  const hint =
    code?.startsWith('ERR_TLS') === true || /certificate|SSL|TLS/i.test(reason)
      ? 'Check the certificate of the registry; plain HTTP must be allowed for a host by name.'
      : 'Check the address and the network.';
  const failure = new KilnError('unreachable', `${url.host} cannot be reached: ${reason}`, {
    hint,
    cause: error,
  });
  return code === 'ENOTFOUND' || /certificate/i.test(reason) ? failure : passing(failure);
}

async function writeBody(outgoing: http.ClientRequest, body: HttpExchange['body']): Promise<void> {
  if (body === undefined || Buffer.isBuffer(body)) {
    outgoing.end(body);
    return;
  }
  let answered = false;
  const stop = new Promise<void>((resolve) => {
    outgoing.once('response', () => {
      answered = true;
      resolve();
    });
    outgoing.once('close', resolve);
  });
  for await (const chunk of body) {
    // An answer before the end of the body is an error; the rest of the bytes would be for nobody.
    if (answered || outgoing.destroyed) return;
    if (!outgoing.write(chunk)) {
      await Promise.race([new Promise<void>((resolve) => void outgoing.once('drain', resolve)), stop]);
    }
  }
  outgoing.end();
}

/** Checked where the name is resolved, so that a second resolution cannot differ from the checked one. */
function publicLookup(url: URL): LookupFunction {
  return (hostname, options, callback) => {
    dnsLookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, '', 0);
      if (addresses.some(({ address }) => isPrivateAddress(address))) {
        return callback(privateTarget(url), '', 0);
      }
      if (options.all === true) return callback(null, addresses);
      const [first] = addresses;
      return callback(null, first?.address ?? '', first?.family ?? 0);
    });
  };
}

function privateTarget(url: URL): KilnError {
  return new KilnError('forbidden', `The registry sends to ${url.host}, which is in a private network`, {
    hint: 'A registry must not direct its clients to private addresses other than its own.',
  });
}
