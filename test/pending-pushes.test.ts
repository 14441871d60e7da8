import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import type { OciDigest, RepositoryName } from '../src/base/brand.ts';
import { openKiln, type Kiln } from '../src/app/open-kiln.ts';
import { pushFromCatalog } from '../src/app/push-from-catalog.ts';
import { pushDue, pushLater } from '../src/app/push-later.ts';
import {
  hastenPendingPushes,
  listPendingPushes,
  nextPendingPush,
  waitBeforePush,
} from '../src/catalog/pending-pushes.ts';
import { literalImage } from './harness/literal-image.ts';
import { workFolder } from './harness/work-folder.ts';
import { startTestRegistry } from './registry-server.ts';

const repository = 'team/app' as RepositoryName;
const elsewhere = 'mirror/app' as RepositoryName;
const quick = { baseMs: 1, capMs: 2, totalMs: 5 };
const failure = { code: 'unreachable', message: 'it does not answer' } as const;
const { signal } = new AbortController();

describe('pushes that wait', () => {
  const work = workFolder();
  const stop = new AbortController();
  const notices: string[] = [];
  let kiln: Kiln;
  before(async () => {
    kiln = await openKiln({
      env: { ...process.env, KILN_HOME: work.path, HOME: work.path },
      signal: stop.signal,
      onNotice: (line) => notices.push(line),
    });
  });
  after(async () => {
    await kiln[Symbol.asyncDispose]();
    work[Symbol.dispose]();
  });
  const publish = async (): Promise<OciDigest> =>
    await (
      await kiln.catalog()
    ).publishImage({ ...literalImage(randomBytes(5000)), repository, tags: ['latest'] });
  const reasons = async (digest: OciDigest): Promise<readonly string[]> =>
    (await (await kiln.catalog()).imageDetails(repository, digest))?.pins ?? [];
  const makeDue = async (): Promise<void> => await hastenPendingPushes(await kiln.db());

  test('an image is kept while its registry is away, and is there by itself when that comes back', async () => {
    const other = await startTestRegistry();
    const port = Number(new URL(other.url).port);
    const destination = `127.0.0.1:${port}/${elsewhere}:v1`;
    await other[Symbol.asyncDispose]();
    const digest = await publish();
    await pushLater(kiln, { buildId: 'build-1', repository, digest, destination }, failure);
    assert.equal(await pushDue(kiln, signal, quick), 0, 'not before its time');
    await makeDue();
    assert.equal(await pushDue(kiln, signal, quick), 1);
    const [waiting] = await listPendingPushes(await kiln.db());
    assert.equal(waiting?.attempts, 2);
    assert.equal(waiting.lastError.code, 'unreachable');
    assert.ok(waiting.nextAt > new Date());
    assert.deepEqual(await reasons(digest), [`waits to be pushed to ${destination}`]);

    await using back = await startTestRegistry({ port });
    await makeDue();
    assert.equal(await pushDue(kiln, signal, quick), 1);
    assert.equal(await back.catalog.resolve(elsewhere, 'v1'), digest);
    assert.deepEqual(await reasons(digest), []);
    assert.deepEqual(await listPendingPushes(await kiln.db()), []);
    const [done] = await listPendingPushes(await kiln.db(), 'build-1');
    assert.ok(done?.doneAt);
    assert.match(notices.join('\n'), /does not take .* yet[^]*pushed team\/app@sha256:/);
  });

  test('a newer image takes the place of the older one, and one that was pushed meanwhile ends the wait', async () => {
    await using other = await startTestRegistry();
    const destination = `${other.host}/${elsewhere}:latest`;
    const [older, newer] = [await publish(), await publish()];
    await pushLater(kiln, { buildId: 'build-2', repository, digest: older, destination }, failure);
    await pushLater(kiln, { buildId: 'build-3', repository, digest: newer, destination }, failure);
    assert.deepEqual(await reasons(older), []);
    const waiting = await listPendingPushes(await kiln.db());
    assert.deepEqual(
      waiting.map((push) => push.digest),
      [newer],
    );
    const newest = await publish();
    await pushFromCatalog(kiln, repository, newest, destination, { signal, retry: quick });
    await makeDue();
    assert.equal(await pushDue(kiln, signal, quick), 0);
    assert.equal(await other.catalog.resolve(elsewhere, 'latest'), newest);
    assert.deepEqual(await reasons(newer), []);
  });

  test('an image that somebody deleted is not waited for any longer', async () => {
    const digest = await publish();
    await pushLater(
      kiln,
      { buildId: 'build-4', repository, digest, destination: 'localhost:1/x:y' },
      failure,
    );
    await (await kiln.catalog()).deleteManifest(repository, digest);
    await makeDue();
    assert.equal(await pushDue(kiln, signal, quick), 1);
    assert.equal(await nextPendingPush(await kiln.db()), undefined);
  });

  test('pauses grow to six hours and differ from push to push', () => {
    for (const [attempt, longest] of [
      [1, 60_000],
      [2, 120_000],
      [5, 960_000],
      [30, 6 * 3_600_000],
    ] as const) {
      const wait = waitBeforePush(attempt);
      assert.ok(wait >= longest / 2 && wait <= longest, `${attempt}: ${wait}`);
    }
  });
});
