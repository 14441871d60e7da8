/** Names of images: `[host[:port]/]repository[:tag][@digest]` (distribution-spec, "Pulling manifests"). */
import type { OciDigest, RepositoryName } from '../base/brand.ts';
import { KilnError } from '../base/error.ts';
import { isDigest } from './digest.ts';

export interface ImageReference {
  /** Registry host with port; undefined means the registry that Kiln itself serves. */
  readonly host?: string;
  readonly repository: RepositoryName;
  readonly tag?: string;
  readonly digest?: OciDigest;
}

const COMPONENT = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const REPOSITORY = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`);
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;
const HOST =
  /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*|\[[0-9a-fA-F:]{2,39}\])(?::\d{1,5})?$/;
/** Docker refuses host and name of more than 255 characters together; a tag or digest comes on top. */
const NAME_LIMIT = 255;

export function isRepositoryName(text: string): text is RepositoryName {
  return text.length <= NAME_LIMIT && REPOSITORY.test(text);
}

/** @throws KilnError invalid-name */
export function parseRepositoryName(text: string): RepositoryName {
  if (isRepositoryName(text)) return text;
  throw new KilnError('invalid-name', `"${text.slice(0, NAME_LIMIT)}" is not a repository name`, {
    hint: 'Use lowercase letters and digits, separated by ".", "_", "-" or "/", at most 255 characters.',
  });
}

export function isTag(text: string): boolean {
  return TAG.test(text);
}

/** @throws KilnError invalid-name */
export function parseTag(text: string): string {
  if (isTag(text)) return text;
  throw new KilnError('invalid-name', `"${text.slice(0, 160)}" is not a tag`, {
    hint: 'Use at most 128 letters, digits, "_", "." and "-", not starting with "." or "-".',
  });
}

/**
 * Reads a reference. The first part is a host when it holds a `.` or `:` or is `localhost`, as Docker decides it.
 * @throws KilnError invalid-name, invalid-input
 */
export function parseReference(text: string): ImageReference {
  if (text.length > 1024)
    throw new KilnError('invalid-name', 'The image reference is longer than 1024 characters');
  const [named, digest] = splitDigest(text);
  const colon = named.lastIndexOf(':');
  const hasTag = colon > named.lastIndexOf('/');
  const name = hasTag ? named.slice(0, colon) : named;
  const slash = name.indexOf('/');
  const first = slash === -1 ? '' : name.slice(0, slash);
  const hasHost = first === 'localhost' || /[.:]/.test(first) || /[A-Z]/.test(first);
  if (hasHost && !isRegistryHost(first))
    throw new KilnError('invalid-name', `"${first}" is not a registry host`);
  return {
    ...(hasHost ? { host: first } : {}),
    repository: parseRepositoryName(hasHost ? name.slice(slash + 1) : name),
    ...(hasTag ? { tag: parseTag(named.slice(colon + 1)) } : {}),
    ...(digest === undefined ? {} : { digest }),
  };
}

function isRegistryHost(text: string): boolean {
  const port = /:(\d+)$/.exec(text)?.[1];
  return HOST.test(text) && (port === undefined || Number(port) <= 65_535);
}

export function formatReference(reference: ImageReference): string {
  const host = reference.host === undefined ? '' : `${reference.host}/`;
  const tag = reference.tag === undefined ? '' : `:${reference.tag}`;
  const digest = reference.digest === undefined ? '' : `@${reference.digest}`;
  return `${host}${reference.repository}${tag}${digest}`;
}

/** The tag under which clients look for referrers where a registry lacks the API: `<algorithm ≤ 32>-<hex ≤ 64>`. */
export function referrersTag(digest: OciDigest): string {
  const [algorithm = '', hex = ''] = digest.split(':');
  return `${algorithm.slice(0, 32)}-${hex.slice(0, 64)}`;
}

function splitDigest(text: string): [string, OciDigest | undefined] {
  const at = text.indexOf('@');
  if (at === -1) return [text, undefined];
  const digest = text.slice(at + 1);
  if (!isDigest(digest))
    throw new KilnError('invalid-input', 'What follows "@" in an image reference must be a digest');
  return [text.slice(0, at), digest];
}
