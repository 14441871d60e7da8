/** end-4 to end-6, end-11, end-13, end-14: blob uploads in one piece, in chunks, as a stream, or by mounting. */
import type { FastifyReply } from 'fastify';
import type { OciDigest, RepositoryName } from '../base/brand.ts';
import { isKilnError } from '../base/error.ts';
import type { BlobUpload } from '../catalog/blob-uploads.ts';
import { ociError, withOciCode } from '../catalog/oci-error.ts';
import { receiveBytes } from '../http/receive-bytes.ts';
import { type DigestAlgorithm, digestAlgorithm } from '../oci/digest.ts';
import { isRepositoryName } from '../oci/reference.ts';
import { requireDigest } from './blob-endpoints.ts';
import type { RepositoryCall } from './registry-context.ts';

/** POST: mount, or a whole blob, or a new session. */
export async function startUpload(call: RepositoryCall): Promise<FastifyReply> {
  const { catalog } = call.context;
  const mount = call.query.get('mount');
  if (mount !== null) {
    const mounted = await tryMount(call, requireDigest(mount));
    if (mounted !== undefined) return sendCreated(call, mounted);
  }
  const digestText = call.query.get('digest');
  const digest = digestText === null ? undefined : requireDigest(digestText);
  const algorithm = digest === undefined ? requestedAlgorithm(call) : digestAlgorithm(digest);
  const upload = await catalog.startUpload(call.repository, algorithm);
  if (digest === undefined) {
    call.request.raw.resume(); // a body without a digest says nothing; the session starts empty
    return await sendProgress(call, upload.id, 0, 202);
  }
  try {
    await append(call, upload);
    return await finish(call, upload, digest);
  } catch (error) {
    await catalog.cancelUpload(upload.id);
    throw error;
  }
}

/** PATCH. */
export async function appendToUpload(call: RepositoryCall, id: string): Promise<FastifyReply> {
  const upload = await call.context.catalog.requireUpload(call.repository, id);
  const size = await append(call, upload);
  return await sendProgress(call, id, size, 202);
}

/** PUT: the last bytes, if any, and the digest that all of them must have. */
export async function finishUpload(call: RepositoryCall, id: string): Promise<FastifyReply> {
  const upload = await call.context.catalog.requireUpload(call.repository, id);
  const digest = requireDigest(call.query.get('digest') ?? '');
  await append(call, upload);
  return await finish(call, upload, digest);
}

/** GET. */
export async function sendUploadStatus(call: RepositoryCall, id: string): Promise<FastifyReply> {
  const { catalog } = call.context;
  await catalog.requireUpload(call.repository, id);
  return await sendProgress(call, id, (await catalog.blobs.uploadSize(id)) ?? 0, 204);
}

/** DELETE. */
export async function cancelUpload(call: RepositoryCall, id: string): Promise<FastifyReply> {
  const { catalog } = call.context;
  await catalog.requireUpload(call.repository, id);
  await catalog.cancelUpload(id);
  return call.reply.status(204).send();
}

async function tryMount(call: RepositoryCall, digest: OciDigest): Promise<OciDigest | undefined> {
  const from = call.query.get('from') ?? undefined;
  if (from !== undefined && !isRepositoryName(from)) return undefined;
  const mounted = await call.context.catalog.mountBlob(call.repository, digest, {
    ...(from === undefined ? {} : { from }),
    allowed: (repository: RepositoryName) => call.permissions.allows(repository, 'pull'),
  });
  return mounted?.digest;
}

async function append(call: RepositoryCall, upload: BlobUpload): Promise<number> {
  const { request, context } = call;
  const range = contentRange(request.headers['content-range']);
  const announced = request.headers['content-length'];
  const length = announced === undefined ? undefined : Number(announced);
  if (range !== undefined && length !== undefined && length > 0 && length !== range.end - range.start) {
    throw ociError(
      'SIZE_INVALID',
      `Content-Range covers ${range.end - range.start} bytes, Content-Length says ${length}`,
    );
  }
  const expected = length ?? (range === undefined ? undefined : range.end - range.start);
  try {
    return await context.catalog.blobs.append(upload.id, receiveBytes(request.raw, context.speedLimit), {
      algorithm: upload.algorithm,
      maxSize: context.maxUploadSize,
      ...(range === undefined || length === 0 ? {} : { at: range.start }),
      ...(expected === undefined ? {} : { length: expected }),
    });
  } catch (error) {
    if (isKilnError(error) && error.code === 'range-not-satisfiable') {
      const size = Number(error.fields['size'] ?? 0);
      call.reply.headers(progressHeaders(call, upload.id, size));
    }
    if (isKilnError(error) && (error.code === 'too-large' || error.fields['reason'] === 'length'))
      throw withOciCode(error, 'SIZE_INVALID');
    throw withOciCode(
      error,
      isKilnError(error) && error.code === 'not-found' ? 'BLOB_UPLOAD_UNKNOWN' : 'BLOB_UPLOAD_INVALID',
    );
  }
}

/** Wrong bytes cannot become right by sending more: the upload ends with the answer. */
async function finish(call: RepositoryCall, upload: BlobUpload, digest: OciDigest): Promise<FastifyReply> {
  const { catalog } = call.context;
  const sealed = await catalog.blobs.seal(upload.id, digestAlgorithm(digest));
  if (sealed.digest !== digest) {
    await catalog.cancelUpload(upload.id);
    throw ociError(
      'DIGEST_INVALID',
      `The ${sealed.size} bytes have the digest ${sealed.digest}, not ${digest}`,
    );
  }
  await catalog.finishUpload(call.repository, sealed);
  return sendCreated(call, digest);
}

function sendCreated(call: RepositoryCall, digest: OciDigest): FastifyReply {
  return call.reply
    .status(201)
    .headers({ location: `/v2/${call.repository}/blobs/${digest}`, 'docker-content-digest': digest })
    .send();
}

async function sendProgress(
  call: RepositoryCall,
  id: string,
  size: number,
  status: 202 | 204,
): Promise<FastifyReply> {
  return await call.reply
    .status(status)
    .headers(progressHeaders(call, id, size))
    .send();
}

/** An empty upload is `0-0`, as Docker's registry says it; the specification has no form for it. */
function progressHeaders(call: RepositoryCall, id: string, size: number): Record<string, string> {
  return {
    location: `/v2/${call.repository}/blobs/uploads/${id}`,
    range: `0-${Math.max(0, size - 1)}`,
    'docker-upload-uuid': id,
  };
}

/** `<first>-<last>`, both inclusive; some clients write `bytes <first>-<last>/<size>`. */
function contentRange(header: string | undefined): { start: number; end: number } | undefined {
  if (header === undefined) return undefined;
  const match = /^(?:bytes[ =])?(\d{1,15})-(\d{1,15})(?:\/(?:\d+|\*))?$/.exec(header);
  const start = Number(match?.[1]);
  const end = Number(match?.[2]) + 1;
  if (match === null || end <= start) {
    throw ociError('BLOB_UPLOAD_INVALID', `"${header.slice(0, 80)}" is not a content range`, {
      hint: 'Write the first and the last byte as in "Content-Range: 0-1023".',
    });
  }
  return { start, end };
}

function requestedAlgorithm(call: RepositoryCall): DigestAlgorithm {
  const algorithm = call.query.get('digest-algorithm') ?? 'sha256';
  if (algorithm === 'sha256' || algorithm === 'sha512') return algorithm;
  throw ociError(
    'DIGEST_INVALID',
    `Digests by ${algorithm.slice(0, 40)} are not taken; use sha256 or sha512`,
  );
}
