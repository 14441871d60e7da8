/** Which manifests of a repository are kept, and why. */
import type { OciDigest } from '../base/brand.ts';
import type { Queryable } from '../db/database.ts';
import type { RepositoryId } from './catalog-locks.ts';

export interface RetentionPolicy {
  /** Milliseconds that a manifest stays after it was pushed or lost its last tag. At least the time a push may take. */
  readonly untaggedMs: number;
  /** Newest manifests of each repository that stay although no tag names them: what one rolls back to. */
  readonly newest: number;
  /** Tags (`*` and `?` for any characters) that keep nothing by themselves, such as one per build. */
  readonly passingTags?: readonly string[];
}

export const DEFAULT_RETENTION: RetentionPolicy = { untaggedMs: 7 * 24 * 3_600_000, newest: 5 };

export type KeepReason =
  | { readonly kind: 'tag'; readonly tag: string }
  | { readonly kind: 'pin'; readonly reason: string }
  | { readonly kind: 'newest'; readonly rank: number }
  | { readonly kind: 'age'; readonly until: Date }
  | { readonly kind: 'child-of'; readonly digest: OciDigest }
  | { readonly kind: 'referrer-of'; readonly digest: OciDigest };

export interface Retained {
  readonly digest: OciDigest;
  readonly pushedAt: Date;
  /** Empty: the next collection removes it. */
  readonly reasons: readonly KeepReason[];
}

interface ManifestRow {
  readonly [column: string]: unknown;
  readonly digest: OciDigest;
  readonly subject: OciDigest | null;
  readonly pushed_at: Date;
  readonly touched_at: Date;
}

/** Every manifest of the repository with the reasons to keep it, newest first. */
export async function explainRetention(
  db: Queryable,
  repository: RepositoryId,
  policy: RetentionPolicy,
  now: number,
): Promise<Retained[]> {
  const manifests = await db.query<ManifestRow>(
    'select digest, subject, pushed_at, touched_at from manifests where repository_id = $1 order by pushed_at desc, digest',
    [repository],
  );
  const reasons = new Map<OciDigest, KeepReason[]>(manifests.map((row) => [row.digest, []]));
  const keep = (digest: OciDigest, reason: KeepReason): void => void reasons.get(digest)?.push(reason);

  const tags = await db.query<{ name: string; digest: OciDigest }>(
    'select name, digest from tags where repository_id = $1 order by name',
    [repository],
  );
  const passes = passingTags(policy.passingTags ?? []);
  for (const { name, digest } of tags) if (!passes(name)) keep(digest, { kind: 'tag', tag: name });
  const pins = await db.query<{ digest: OciDigest; reason: string }>(
    'select digest, reason from manifest_pins where repository_id = $1 order by reason',
    [repository],
  );
  for (const { digest, reason } of pins) keep(digest, { kind: 'pin', reason });
  const children = await db.query<{ manifest: OciDigest; digest: OciDigest }>(
    `select manifest, digest from manifest_references where repository_id = $1 and role = 'child'`,
    [repository],
  );
  const childDigests = new Set(children.map((row) => row.digest));
  const standalone = manifests.filter((row) => row.subject === null && !childDigests.has(row.digest));
  for (const [index, row] of standalone.slice(0, policy.newest).entries()) {
    keep(row.digest, { kind: 'newest', rank: index + 1 });
  }
  for (const row of manifests) {
    const until = row.touched_at.getTime() + policy.untaggedMs;
    if (until > now) keep(row.digest, { kind: 'age', until: new Date(until) });
  }
  inherit(reasons, manifests, children);
  return manifests.map((row) => ({
    digest: row.digest,
    pushedAt: row.pushed_at,
    reasons: reasons.get(row.digest) ?? [],
  }));
}

function passingTags(patterns: readonly string[]): (tag: string) => boolean {
  const rules = patterns.map((pattern) => {
    const text = pattern.replaceAll(/[.+^$()|[\]{}\\]/g, '\\$&');
    return new RegExp(`^${text.replaceAll(/\*+/g, '.*').replaceAll('?', '.')}$`);
  });
  return (tag) => rules.some((rule) => rule.test(tag));
}

/** Members of a kept index stay, and what refers to a kept subject; so on down to the last. */
function inherit(
  reasons: Map<OciDigest, KeepReason[]>,
  manifests: readonly ManifestRow[],
  children: readonly { readonly manifest: OciDigest; readonly digest: OciDigest }[],
): void {
  const below = new Map<OciDigest, { digest: OciDigest; kind: 'child-of' | 'referrer-of' }[]>();
  const add = (above: OciDigest, digest: OciDigest, kind: 'child-of' | 'referrer-of'): void => {
    const list = below.get(above) ?? [];
    list.push({ digest, kind });
    below.set(above, list);
  };
  for (const { manifest, digest } of children) add(manifest, digest, 'child-of');
  for (const { subject, digest } of manifests) if (subject !== null) add(subject, digest, 'referrer-of');

  const queue = [...reasons].filter(([, list]) => list.length > 0).map(([digest]) => digest);
  const seen = new Set(queue);
  for (let above = queue.shift(); above !== undefined; above = queue.shift()) {
    for (const { digest, kind } of below.get(above) ?? []) {
      reasons.get(digest)?.push({ kind, digest: above });
      if (seen.has(digest)) continue;
      seen.add(digest);
      queue.push(digest);
    }
  }
}
