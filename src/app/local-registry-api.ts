/** The registry's own affairs, over this process's database and catalog. */
import type { KeptImage, PushEntry, RegistryApi, TokenEntry } from '../api/registry-api.ts';
import type { RepositoryName } from '../base/brand.ts';
import { KilnError } from '../base/error.ts';
import { formatDuration } from '../base/units.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { listPendingPushes, type PendingPush } from '../catalog/pending-pushes.ts';
import type { KeepReason } from '../catalog/retention.ts';
import { parseReference } from '../oci/reference.ts';
import { createToken, listTokens, type RegistryToken, revokeToken } from '../registry/token-store.ts';
import type { Kiln } from './open-kiln.ts';

/** Why an image is pinned that somebody pinned by hand. */
const PIN_REASON = 'pinned by hand';
const PAGE = 1000;

export function createLocalRegistryApi(kiln: Kiln): RegistryApi {
  return {
    listTokens: async () => (await listTokens(await kiln.db())).map(tokenEntry),
    createToken: async (request) => ({ token: (await createToken(await kiln.db(), request)).reveal() }),
    revokeToken: async (name) => await revokeToken(await kiln.db(), name),
    explainImages: async () => await explainAll(await kiln.catalog(), kiln.clock.now()),
    pinImage: async (reference, pinned) => {
      const catalog = await kiln.catalog();
      const { repository, digest, tag = 'latest' } = parseReference(reference);
      const found = await catalog.resolve(repository, digest ?? tag);
      if (found === undefined)
        throw new KilnError('not-found', `there is no image ${reference}`, {
          hint: '`kiln images` lists what is here.',
        });
      if (pinned) await catalog.pin(repository, found, PIN_REASON);
      else await catalog.unpin(repository, found, PIN_REASON);
    },
    listPushes: async (buildId) => (await listPendingPushes(await kiln.db(), buildId)).map(pushEntry),
  };
}

async function explainAll(catalog: Catalog, now: number): Promise<KeptImage[]> {
  const all: KeptImage[] = [];
  let last: RepositoryName | undefined;
  for (let more = true; more;) {
    const page = await catalog.listRepositories({ limit: PAGE, ...(last === undefined ? {} : { last }) });
    for (const repository of page.items) {
      for (const { digest, pushedAt, reasons } of await catalog.explainRetention(repository)) {
        const words = reasons.map((reason) => inWords(reason, now));
        all.push({ repository, digest, pushedAt: pushedAt.toISOString(), reasons: words });
      }
    }
    last = page.items.at(-1);
    more = page.more;
  }
  return all;
}

function inWords(reason: KeepReason, now: number): string {
  switch (reason.kind) {
    case 'tag':
      return `tag ${reason.tag}`;
    case 'pin':
      return reason.reason;
    case 'newest':
      return reason.rank === 1 ? 'the newest' : `one of the newest (${reason.rank}.)`;
    case 'age':
      return `recent, for ${formatDuration(reason.until.getTime() - now)} more`;
    case 'child-of':
      return `member of ${reason.digest.slice(0, 19)}`;
    case 'referrer-of':
      return `refers to ${reason.digest.slice(0, 19)}`;
  }
}

function tokenEntry(token: RegistryToken): TokenEntry {
  const { name, scopes, createdAt, expiresAt, lastUsedAt } = token;
  return {
    name,
    scopes,
    createdAt: createdAt.toISOString(),
    ...(expiresAt === undefined ? {} : { expiresAt: expiresAt.toISOString() }),
    ...(lastUsedAt === undefined ? {} : { lastUsedAt: lastUsedAt.toISOString() }),
  };
}

function pushEntry(push: PendingPush): PushEntry {
  const { repository, digest, destination, attempts, lastError, nextAt, doneAt } = push;
  return {
    repository,
    digest,
    destination,
    attempts,
    lastError,
    nextAt: nextAt.toISOString(),
    ...(doneAt === undefined ? {} : { doneAt: doneAt.toISOString() }),
  };
}
