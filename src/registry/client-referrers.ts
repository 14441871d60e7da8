/** Referrers of a manifest elsewhere, by the API or by the tag that stands in for it (distribution-spec, "Unavailable Referrers API"). */
import type { OciDigest } from '../base/brand.ts';
import { KilnError } from '../base/error.ts';
import { type Descriptor, parseDescriptor } from '../oci/descriptor.ts';
import { digestOf } from '../oci/digest.ts';
import { encodeIndex } from '../oci/image-index.ts';
import { MANIFEST_LIMIT, parseManifest } from '../oci/manifest.ts';
import { isIndexType, OCI_INDEX } from '../oci/media-types.ts';
import { referrersTag } from '../oci/reference.ts';
import { type HttpAnswer, readAnswer } from './client-http.ts';
import type { RemoteManifest, RemoteRepository } from './registry-client.ts';

const ATTEMPTS = 5;
/** Writes to one subject's tag from this process go one after the other. */
const queues = new Map<string, Promise<unknown>>();

/** Referrers of `subject`, of one artifact type or of all. */
export async function listRemoteReferrers(
  target: RemoteRepository,
  subject: OciDigest,
  artifactType?: string,
  signal?: AbortSignal,
): Promise<Descriptor[]> {
  const found: Descriptor[] = [];
  const query = artifactType === undefined ? '' : `?${new URLSearchParams({ artifactType }).toString()}`;
  let next: string | URL | undefined = `referrers/${subject}${query}`;
  while (next !== undefined) {
    const page: string | URL = next;
    const answer: HttpAnswer = await target.client.retrying(
      () =>
        target.request({
          method: 'GET',
          target: page,
          expect: [200, 404],
          ...(signal === undefined ? {} : { signal }),
        }),
      signal,
    );
    const body = await readAnswer(answer, MANIFEST_LIMIT);
    if (answer.status === 404 || !(answer.header('content-type') ?? '').startsWith(OCI_INDEX)) {
      found.push(...(await readFallback(target, subject, signal)));
      break;
    }
    found.push(...membersOf(body, OCI_INDEX));
    const link: string | undefined = /<([^>]+)>\s*;\s*rel="?next"?/.exec(answer.header('link') ?? '')?.[1];
    next = link === undefined ? undefined : new URL(link, answer.url);
  }
  // Registries may ignore the filter.
  return found.filter((descriptor) => artifactType === undefined || descriptor.artifactType === artifactType);
}

/** Notes a pushed manifest under its subject's tag, where it has a subject. For registries without the API. */
export async function addReferrer(
  target: RemoteRepository,
  manifest: RemoteManifest,
  signal?: AbortSignal,
): Promise<void> {
  const { content } = parseManifest(manifest.content, manifest.mediaType);
  if (content.subject === undefined) return;
  const artifactType =
    content.artifactType ?? (content.kind === 'manifest' ? content.config.mediaType : undefined);
  const descriptor: Descriptor = {
    mediaType: content.mediaType,
    digest: manifest.digest,
    size: manifest.content.length,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(content.annotations === undefined ? {} : { annotations: content.annotations }),
  };
  const subject = content.subject.digest;
  const key = `${target.host}/${target.name}@${subject}`;
  const before = queues.get(key) ?? Promise.resolve();
  const work = before.catch(() => undefined).then(() => addToFallback(target, subject, descriptor, signal));
  queues.set(key, work);
  try {
    await work;
  } finally {
    if (queues.get(key) === work) queues.delete(key);
  }
}

/** The tag has no compare-and-set: it is read again after writing, and written again if somebody else's write won. */
async function addToFallback(
  target: RemoteRepository,
  subject: OciDigest,
  descriptor: Descriptor,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const members = await readFallback(target, subject, signal);
    if (members.some((member) => member.digest === descriptor.digest)) return;
    const content = encodeIndex({ manifests: [...members, descriptor] });
    const index = { mediaType: OCI_INDEX, digest: digestOf(content), content };
    await target.putManifest(referrersTag(subject), index, signal);
  }
  const members = await readFallback(target, subject, signal);
  if (members.some((member) => member.digest === descriptor.digest)) return;
  throw new KilnError(
    'registry-failed',
    `${target.host} loses referrers: others write the tag ${referrersTag(subject)} too`,
  );
}

async function readFallback(
  target: RemoteRepository,
  subject: OciDigest,
  signal: AbortSignal | undefined,
): Promise<Descriptor[]> {
  const manifest = await target.readManifest(referrersTag(subject), signal);
  if (manifest === undefined) return [];
  if (!isIndexType(manifest.mediaType)) {
    throw new KilnError('registry-failed', `The tag ${referrersTag(subject)} is no index of referrers`);
  }
  return membersOf(manifest.content, manifest.mediaType);
}

function membersOf(body: Buffer, mediaType: string): Descriptor[] {
  const { content } = parseManifest(body, mediaType);
  return content.kind === 'index'
    ? content.manifests.map((member) => parseDescriptor(member, 'manifests'))
    : [];
}
