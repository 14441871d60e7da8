/** Sends one blob: mount, or an upload that goes on where a broken one stopped. */
import type { OciDigest } from '../base/brand.ts';
import { isKilnError, KilnError } from '../base/error.ts';
import type { HttpAnswer } from './client-http.ts';
import { passing } from './client-retry.ts';
import type { RemoteRepository } from './registry-client.ts';

export interface BlobToSend {
  /** Known beforehand, or told when all bytes were read. */
  readonly digest: () => OciDigest;
  /** Bytes; undefined while not known. */
  readonly size: () => number | undefined;
  /** The bytes from `start` on; the same bytes each time. */
  readonly open: (start: number, signal: AbortSignal | undefined) => AsyncIterable<Buffer>;
}

export interface UploadOptions {
  /** Another repository of the registry that has the blob. */
  readonly mountFrom?: string;
  readonly onBytes?: (count: number) => void;
  readonly signal?: AbortSignal;
}

export type UploadOutcome = 'uploaded' | 'mounted';

interface Session {
  location: URL;
  /** Bytes that the registry has, where it told so. */
  offset: number;
}

/** Times that a registry may disagree about how far the upload is. */
const MAX_DISAGREEMENTS = 4;

export async function uploadBlob(
  repository: RemoteRepository,
  blob: BlobToSend,
  options: UploadOptions = {},
): Promise<UploadOutcome> {
  let session: Session | undefined;
  let mountFrom = options.mountFrom;
  let disagreements = 0;
  return await repository.client.retrying(async (attempt) => {
    if (session !== undefined && attempt > 0) session = await resume(repository, session, options.signal);
    if (session === undefined) {
      const started = await start(
        repository,
        mountFrom === undefined ? undefined : { digest: blob.digest(), from: mountFrom },
        options.signal,
      );
      if (started === 'mounted') return 'mounted';
      mountFrom = undefined;
      session = started;
    }
    try {
      if (session.offset === 0 || session.offset !== blob.size())
        await patch(repository, session, blob, options);
      await commit(repository, session, blob.digest(), options.signal);
      return 'uploaded';
    } catch (error) {
      const status = isKilnError(error) ? Number(error.fields['status']) : 0;
      if (!isKilnError(error) || ![400, 404, 416].includes(status) || ++disagreements > MAX_DISAGREEMENTS)
        throw error;
      // 416: bytes of an earlier attempt came in late, so ask again. Otherwise the upload is gone: begin a new one.
      if (status !== 416 || disagreements === MAX_DISAGREEMENTS) session = undefined;
      throw passing(error);
    }
  }, options.signal);
}

async function start(
  repository: RemoteRepository,
  mount: { readonly digest: OciDigest; readonly from: string } | undefined,
  signal: AbortSignal | undefined,
): Promise<Session | 'mounted'> {
  const scopes = [
    `repository:${repository.name}:pull,push`,
    ...(mount === undefined ? [] : [`repository:${mount.from}:pull`]),
  ];
  const query =
    mount === undefined
      ? ''
      : `?${new URLSearchParams({ mount: mount.digest, from: mount.from }).toString()}`;
  const answer = await repository
    .request({
      method: 'POST',
      target: `blobs/uploads/${query}`,
      headers: { 'content-length': '0' },
      expect: [201, 202],
      scopes,
      ...(signal === undefined ? {} : { signal }),
    })
    .catch(async (error: unknown) => {
      // Some registries refuse a mount that they cannot do instead of opening an upload.
      if (mount === undefined || !isKilnError(error) || error.fields['passing'] === true) throw error;
      return undefined;
    });
  if (answer === undefined) return await start(repository, undefined, signal);
  answer.discard();
  if (answer.status === 201) return 'mounted';
  return { location: nextLocation(answer), offset: 0 };
}

async function patch(
  repository: RemoteRepository,
  session: Session,
  blob: BlobToSend,
  options: UploadOptions,
): Promise<void> {
  const size = blob.size();
  const offset = session.offset;
  const range: Record<string, string> =
    size === undefined || offset === 0 ? {} : { 'content-range': `${offset}-${size - 1}` };
  const answer = await repository.request({
    method: 'PATCH',
    target: session.location,
    headers: {
      'content-type': 'application/octet-stream',
      ...(size === undefined ? {} : { 'content-length': String(size - offset) }),
      ...range,
    },
    body: counted(blob.open(offset, options.signal), options.onBytes),
    expect: [201, 202, 204],
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  answer.discard();
  session.location = nextLocation(answer);
  session.offset = blob.size() ?? 0;
}

async function commit(
  repository: RemoteRepository,
  session: Session,
  digest: OciDigest,
  signal: AbortSignal | undefined,
): Promise<void> {
  const target = new URL(session.location);
  target.searchParams.set('digest', digest);
  const answer = await repository.request({
    method: 'PUT',
    target,
    headers: { 'content-length': '0', 'content-type': 'application/octet-stream' },
    expect: [201, 204],
    ...(signal === undefined ? {} : { signal }),
  });
  answer.discard();
}

/** Where the upload stands (end-13), or undefined where it has to begin anew. */
async function resume(
  repository: RemoteRepository,
  session: Session,
  signal: AbortSignal | undefined,
): Promise<Session | undefined> {
  try {
    const answer = await repository.request({
      method: 'GET',
      target: session.location,
      expect: [200, 202, 204],
      ...(signal === undefined ? {} : { signal }),
    });
    answer.discard();
    const last = /^(?:bytes=)?0-(\d+)$/.exec(answer.header('range') ?? '')?.[1];
    if (last === undefined) return undefined;
    // Registries say 0-0 of an empty upload, and of one with a single byte.
    const location = answer.header('location') === undefined ? session.location : nextLocation(answer);
    return { location, offset: last === '0' ? 0 : Number(last) + 1 };
  } catch (error) {
    if (isKilnError(error) && error.fields['passing'] === true) throw error;
    return undefined;
  }
}

function nextLocation(answer: HttpAnswer): URL {
  const location = answer.header('location');
  const url = location === undefined ? null : URL.parse(location, answer.url.href);
  if (url !== null && (url.protocol === 'https:' || url.protocol === 'http:')) return url;
  throw new KilnError('registry-failed', `${answer.url.host} did not say where to send the blob`);
}

async function* counted(
  source: AsyncIterable<Buffer>,
  onBytes: UploadOptions['onBytes'],
): AsyncGenerator<Buffer> {
  for await (const chunk of source) {
    yield chunk;
    onBytes?.(chunk.length);
  }
}
