/** Names and tags of the images that builds make. */
import type { RepositoryName } from '../base/brand.ts';
import { parseRepositoryName } from '../oci/reference.ts';
import type { SourceSpec } from '../source/source.ts';

/** A short name for people, from where the source comes. */
export function slugOf(source: SourceSpec): string {
  switch (source.kind) {
    case 'git':
      return lastPart(source.subdirectory ?? source.url.replace(/\.git\/?$/, ''));
    case 'flake':
      return lastPart(source.reference.replace(/[?#].*$/, ''));
    case 'directory':
      return lastPart(source.path);
    case 'file': {
      const parts = source.path.split('/').filter(Boolean);
      const name = (parts.at(-1) ?? '').replace(/\.nix$/, '');
      return cleanName(name === 'default' ? (parts.at(-2) ?? name) : name);
    }
    case 'template':
      return cleanName(source.template);
    case 'expression':
      return 'app';
    case 'store-path':
      return cleanName(source.path.slice('/nix/store/'.length + 33).replace(/-\d[\w.+-]*$/, ''));
  }
}

/** The name given by the request, else the application's, else the derivation's where the source has none, else the source's. */
export function repositoryOf(
  given: string | undefined,
  configured: string | undefined,
  source: SourceSpec,
  drvName: string,
): RepositoryName {
  const byDerivation =
    source.kind === 'expression' ? cleanName(drvName.replace(/-\d[\w.+-]*$/, '')) : slugOf(source);
  return parseRepositoryName(given ?? configured ?? byDerivation);
}

/** `latest` or the one asked for, the build, and the time in UTC. */
export function tagsOf(given: string | undefined, buildId: string, nowMs: number): string[] {
  const time = new Date(nowMs)
    .toISOString()
    .slice(0, 19)
    .replaceAll('-', '')
    .replaceAll(':', '')
    .replace('T', '-');
  return [given ?? 'latest', buildId, time];
}

function lastPart(path: string): string {
  return cleanName(path.split(/[/:]/).filter(Boolean).at(-1) ?? '');
}

/** Lower case, single separators, as the distribution specification wants names. */
function cleanName(text: string): string {
  const clean = text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
  return clean === '' ? 'app' : clean;
}
