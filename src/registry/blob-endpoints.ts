/** end-2, end-10: blobs by digest, whole or in part, from files and recipes alike. */
import type { FastifyReply } from 'fastify';
import type { OciDigest } from '../base/brand.ts';
import { ociError } from '../catalog/oci-error.ts';
import { formatContentRange, parseByteRange } from '../http/byte-range.ts';
import { sendBytes } from '../http/send-bytes.ts';
import { isDigest } from '../oci/digest.ts';
import type { RepositoryCall } from './registry-context.ts';

/** GET and HEAD. */
export async function sendBlob(call: RepositoryCall, text: string): Promise<FastifyReply> {
  const digest = requireDigest(text);
  const { request, reply } = call;
  const { catalog } = call.context;
  const blob = await catalog.findBlob(call.repository, digest);
  if (blob === undefined) throw ociError('BLOB_UNKNOWN', `${call.repository} has no blob ${digest}`);
  const etag = `"${digest}"`;
  const headers = {
    'docker-content-digest': digest,
    'content-type': 'application/octet-stream',
    'accept-ranges': 'bytes',
    etag,
    'cache-control': 'max-age=31536000, immutable',
  };
  if (request.headers['if-none-match'] === etag) return reply.status(304).headers(headers).send();
  if (request.method === 'HEAD')
    return reply.headers({ ...headers, 'content-length': String(blob.size) }).send();
  const conditional = request.headers['if-range'];
  const range = conditional === undefined || conditional === etag ? request.headers.range : undefined;
  const span = parseByteRange(range, blob.size);
  const { start, end } = span ?? { start: 0, end: blob.size };
  await sendBytes(reply, {
    status: span === undefined ? 200 : 206,
    headers:
      span === undefined ? headers : { ...headers, 'content-range': formatContentRange(span, blob.size) },
    length: end - start,
    open: (signal) => catalog.readBlob(blob, { start, end }, signal),
  });
  return reply;
}

export async function removeBlob(call: RepositoryCall, text: string): Promise<FastifyReply> {
  await call.context.catalog.unlinkBlob(call.repository, requireDigest(text));
  return call.reply.status(202).send();
}

/** @throws KilnError DIGEST_INVALID */
export function requireDigest(text: string): OciDigest {
  if (isDigest(text)) return text;
  throw ociError('DIGEST_INVALID', `"${text.slice(0, 160)}" is not a digest`, {
    hint: 'Write sha256: and 64, or sha512: and 128, lower-case hexadecimal digits.',
  });
}
