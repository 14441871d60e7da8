/** end-3, end-7a/b, end-9: manifests by tag or digest. */
import type { FastifyReply } from 'fastify';
import type { OciDigest } from '../base/brand.ts';
import { ociError, withOciCode } from '../catalog/oci-error.ts';
import { receiveWhole } from '../http/receive-bytes.ts';
import { isDigest } from '../oci/digest.ts';
import { MANIFEST_LIMIT } from '../oci/manifest.ts';
import { isTag } from '../oci/reference.ts';
import type { RepositoryCall } from './registry-context.ts';

/** More tags than this in one request are answered with 414. */
const MAX_TAG_PARAMETERS = 100;

/** GET and HEAD. */
export async function sendManifest(call: RepositoryCall, reference: string): Promise<FastifyReply> {
  const { catalog } = call.context;
  checkReference(reference);
  const manifest = isKnownForm(reference)
    ? await catalog.readManifest(call.repository, reference)
    : undefined;
  if (manifest === undefined) throw unknownManifest(call, reference);
  const etag = `"${manifest.digest}"`;
  const reply = call.reply.headers({
    'docker-content-digest': manifest.digest,
    etag: etag,
    vary: 'accept',
  });
  if (call.request.headers['if-none-match'] === etag) return reply.status(304).send();
  reply.headers({ 'content-type': manifest.mediaType, 'content-length': String(manifest.content.length) });
  return call.request.method === 'HEAD' ? reply.send() : reply.send(manifest.content);
}

export async function storeManifest(call: RepositoryCall, reference: string): Promise<FastifyReply> {
  checkReference(reference);
  const byDigest = isDigest(reference);
  if (!byDigest && !isTag(reference))
    throw ociError('MANIFEST_INVALID', `"${reference.slice(0, 160)}" is not a tag`);
  const tags = byDigest ? tagParameters(call) : [reference];
  const content = await receiveWhole(call.request.raw, MANIFEST_LIMIT, call.context.speedLimit).catch(
    (error: unknown) => {
      throw withOciCode(error, 'MANIFEST_INVALID');
    },
  );
  const mediaType = call.request.headers['content-type'];
  const stored = await call.context.catalog.putManifest({
    repository: call.repository,
    content,
    ...(mediaType === undefined ? {} : { mediaType }),
    ...(byDigest ? { digest: reference } : {}),
    tags,
    sparse: call.context.sparse,
  });
  return call.reply
    .status(201)
    .headers({
      location: `/v2/${call.repository}/manifests/${byDigest ? stored.digest : reference}`,
      'docker-content-digest': stored.digest,
      ...(stored.subject === undefined ? {} : { 'oci-subject': stored.subject }),
      ...(byDigest && tags.length > 0 ? { 'oci-tag': tags.join(', ') } : {}),
    })
    .send();
}

export async function removeManifest(call: RepositoryCall, reference: string): Promise<FastifyReply> {
  checkReference(reference);
  const { catalog } = call.context;
  if (isDigest(reference)) await catalog.deleteManifest(call.repository, reference);
  else if (isTag(reference)) await catalog.deleteTag(call.repository, reference);
  else throw unknownManifest(call, reference);
  return call.reply.status(202).send();
}

function tagParameters(call: RepositoryCall): string[] {
  const tags = [...new Set(call.query.getAll('tag'))];
  if (tags.length > MAX_TAG_PARAMETERS) {
    throw ociError('MANIFEST_INVALID', `At most ${MAX_TAG_PARAMETERS} tags can be set at once`, {
      fields: { status: 414 },
    });
  }
  const wrong = tags.find((tag) => !isTag(tag));
  if (wrong !== undefined) throw ociError('MANIFEST_INVALID', `"${wrong.slice(0, 160)}" is not a tag`);
  return tags;
}

/** A colon makes it a digest, and a digest must be a right one. */
function checkReference(reference: string): void {
  if (reference.includes(':') && !isDigest(reference)) {
    throw ociError('DIGEST_INVALID', `"${reference.slice(0, 160)}" is not a digest`);
  }
}

function isKnownForm(reference: string): reference is OciDigest | string {
  return isDigest(reference) || isTag(reference);
}

function unknownManifest(call: RepositoryCall, reference: string): Error {
  return ociError('MANIFEST_UNKNOWN', `${call.repository} has no manifest ${reference.slice(0, 160)}`);
}
