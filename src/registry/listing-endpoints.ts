/** end-8, end-12, and Docker's catalog: lists in pages. */
import type { FastifyReply } from 'fastify';
import { ociError } from '../catalog/oci-error.ts';
import type { Page } from '../catalog/read-manifests.ts';
import { OCI_INDEX } from '../oci/media-types.ts';
import { requireDigest } from './blob-endpoints.ts';
import type { RegistryCall, RepositoryCall } from './registry-context.ts';

const MAX_PAGE = 10_000;
/** Referrers of a page: with usual annotations well below the size of a manifest that every client takes. */
const REFERRERS_PAGE = 1000;

export async function sendTags(call: RepositoryCall): Promise<FastifyReply> {
  const { limit, last } = pageOf(call);
  const page = await call.context.catalog.listTags(call.repository, {
    limit,
    ...(last === undefined ? {} : { last }),
  });
  linkNext(call, `/v2/${call.repository}/tags/list`, page, page.items.at(-1), limit);
  return call.reply.send({ name: call.repository, tags: page.items });
}

export async function sendRepositories(call: RegistryCall): Promise<FastifyReply> {
  const { limit, last } = pageOf(call);
  const page = await call.context.catalog.listRepositories({
    limit,
    ...(last === undefined ? {} : { last }),
  });
  linkNext(call, '/v2/_catalog', page, page.items.at(-1), limit);
  return call.reply.send({ repositories: page.items });
}

export async function sendReferrers(call: RepositoryCall, text: string): Promise<FastifyReply> {
  const subject = requireDigest(text);
  const artifactType = call.query.get('artifactType') ?? undefined;
  const last = call.query.get('last') ?? undefined;
  const page = await call.context.catalog.listReferrers(call.repository, subject, {
    limit: REFERRERS_PAGE,
    ...(last === undefined ? {} : { last }),
    ...(artifactType === undefined ? {} : { artifactType }),
  });
  const path = `/v2/${call.repository}/referrers/${subject}`;
  const extra: Record<string, string> = artifactType === undefined ? {} : { artifactType };
  linkNext(call, path, page, page.items.at(-1)?.digest, undefined, extra);
  if (artifactType !== undefined) call.reply.header('oci-filters-applied', 'artifactType');
  const body = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: page.items };
  return await call.reply.header('content-type', OCI_INDEX).send(Buffer.from(JSON.stringify(body)));
}

function pageOf(call: RegistryCall): { limit: number; last?: string } {
  const text = call.query.get('n');
  const last = call.query.get('last') ?? undefined;
  if (text !== null && !/^\d{1,9}$/.test(text)) {
    throw ociError('UNSUPPORTED', `"${text.slice(0, 40)}" is not a number of results`, {
      fields: { status: 400 },
    });
  }
  const limit = Math.min(text === null ? MAX_PAGE : Number(text), MAX_PAGE);
  return { limit, ...(last === undefined ? {} : { last }) };
}

/** RFC 8288. With n=0 the list is empty and has no next page. */
function linkNext(
  call: RegistryCall,
  path: string,
  page: Page<unknown>,
  last: string | undefined,
  limit: number | undefined,
  extra: Readonly<Record<string, string>> = {},
): void {
  if (!page.more || last === undefined) return;
  const query = new URLSearchParams({ ...extra, ...(limit === undefined ? {} : { n: String(limit) }), last });
  call.reply.header('link', `<${path}?${query.toString()}>; rel="next"`);
}
