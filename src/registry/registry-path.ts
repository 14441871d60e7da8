/** Which endpoint and repository a path below `/v2/` names (distribution-spec, "Endpoints"). */
import type { RepositoryName } from '../base/brand.ts';
import { ociError } from '../catalog/oci-error.ts';
import { isRepositoryName } from '../oci/reference.ts';

export type RegistryPath =
  | { readonly endpoint: 'base' }
  | { readonly endpoint: 'catalog' }
  | { readonly endpoint: 'token' }
  | RepositoryPath;

export type RepositoryPath =
  | { readonly endpoint: 'manifest'; readonly repository: RepositoryName; readonly reference: string }
  | { readonly endpoint: 'blob'; readonly repository: RepositoryName; readonly digest: string }
  | { readonly endpoint: 'uploads'; readonly repository: RepositoryName }
  | { readonly endpoint: 'upload'; readonly repository: RepositoryName; readonly id: string }
  | { readonly endpoint: 'tags'; readonly repository: RepositoryName }
  | { readonly endpoint: 'referrers'; readonly repository: RepositoryName; readonly digest: string };

/**
 * Reads the raw request target: nothing is decoded before it is split, so an encoded slash or dot cannot make a segment.
 * Repository names may hold the words of endpoints; the last ones count.
 * @throws KilnError NAME_INVALID; UNSUPPORTED where no endpoint has that shape
 */
export function parseRegistryPath(target: string): RegistryPath {
  const path = target.split('?', 1)[0] ?? '';
  if (path === '/v2' || path === '/v2/') return { endpoint: 'base' };
  const segments = path.slice('/v2/'.length).split('/').map(decodeSegment);
  if (segments.length === 1 && segments[0] === '_catalog') return { endpoint: 'catalog' };
  if (segments.length === 1 && segments[0] === 'token') return { endpoint: 'token' };
  const last = segments.at(-1) ?? '';
  const before = segments.at(-2);
  const name = (dropped: number): RepositoryName => repositoryName(segments.slice(0, -dropped).join('/'));
  if (before === 'uploads' && segments.at(-3) === 'blobs') {
    return last === ''
      ? { endpoint: 'uploads', repository: name(3) }
      : { endpoint: 'upload', repository: name(3), id: last };
  }
  if (last === 'uploads' && before === 'blobs') return { endpoint: 'uploads', repository: name(2) };
  if (before === 'manifests') return { endpoint: 'manifest', repository: name(2), reference: last };
  if (before === 'blobs') return { endpoint: 'blob', repository: name(2), digest: last };
  if (before === 'referrers') return { endpoint: 'referrers', repository: name(2), digest: last };
  if (before === 'tags' && last === 'list') return { endpoint: 'tags', repository: name(2) };
  throw ociError('NAME_UNKNOWN', 'No endpoint of the registry has this path');
}

function repositoryName(text: string): RepositoryName {
  if (isRepositoryName(text)) return text;
  throw ociError('NAME_INVALID', `"${text.slice(0, 260)}" is not a repository name`, {
    hint: 'Use lower-case letters and digits, separated by ".", "_", "-" or "/".',
  });
}

function decodeSegment(segment: string): string {
  if (!segment.includes('%')) return segment;
  try {
    return decodeURIComponent(segment);
  } catch {
    return '\0'; // matches no rule, as a broken escape should
  }
}
