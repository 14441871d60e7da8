/** Figures about builds, what is reused by content, and the removal of old builds. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newBuildId } from '../src/build/build-record.ts';
import { cleanUpBuilds, getBuildStatistics } from '../src/build/build-statistics.ts';
import { getBuild, listBuilds, setDeployed } from '../src/build/build-queries.ts';
import {
  findDerivation,
  findEvaluation,
  findImage,
  forgetUnused,
  saveDerivation,
  saveEvaluation,
  saveImage,
} from '../src/build/reuse-queries.ts';
import type { Database } from '../src/db/database.ts';
import { newBuild } from './harness/build-run.ts';
import { onEachDatabase } from './harness/each-database.ts';

test('identifiers of later builds sort after those of earlier ones', () => {
  const at = [0, 1, 31, 32, 1_700_000_000_000, 1_900_000_000_000].map((now) =>
    newBuildId({ now: () => now }),
  );
  assert.deepEqual(at.toSorted(), at);
  assert.match(at[4] ?? '', /^build-[0-9a-hjkmnp-tv-z]{15}$/);
});

onEachDatabase('build statistics and clean-up', (under) => {
  test('count what ended, how long it took and what was there before', async () => {
    assert.deepEqual((await getBuildStatistics(under.database, 'none')).successRate, 0);
    const { database } = under;
    await ended(database, { service: 'stats', status: 'success', seconds: 10, size: 1000 });
    await ended(database, { service: 'stats', status: 'success', seconds: 20, size: 2001, reused: true });
    await ended(database, { service: 'stats', status: 'failed', seconds: 99 });
    await ended(database, { service: 'stats', status: 'cancelled', seconds: 1 });
    await ended(database, { service: 'other', status: 'failed', seconds: 1 });
    await newBuild(database, { serviceId: 'stats' });
    assert.deepEqual(await getBuildStatistics(database, 'stats'), {
      totalBuilds: 5,
      successfulBuilds: 2,
      failedBuilds: 1,
      cancelledBuilds: 1,
      successRate: 66.7,
      averageBuildTime: 15,
      averageArtifactSize: 1501,
      queueLength: 1,
      running: 0,
      cacheHits: 1,
      cacheHitRate: 50,
    });
    assert.equal((await getBuildStatistics(database)).totalBuilds, 6);
  });

  test('remove old builds but not the newest, the running and the deployed', async () => {
    const { database } = under;
    const days = (count: number): number => count * 86_400;
    const ids: string[] = [];
    for (let age = 9; age >= 0; age--)
      ids.push(await ended(database, { service: 'clean', status: 'success', seconds: 1, ago: days(age) }));
    const waiting = await newBuild(database, { serviceId: 'clean' });
    await setDeployed(database, ids[0] ?? '', true);
    const removed = await cleanUpBuilds(database, { olderThanDays: 2.5, keepNewest: 5 });
    assert.deepEqual(removed.sort(), ids.slice(1, 6).sort());
    assert.deepEqual((await listBuilds(database, { serviceId: 'clean' })).length, 6);
    assert.equal((await getBuild(database, waiting.id)).status, 'pending');
    await assert.rejects(getBuild(database, ids[1] ?? ''), { code: 'not-found' });
  });

  test('reuse evaluations, derivations and images by content', async () => {
    const { database } = under;
    assert.equal(await findEvaluation(database, 'key'), undefined);
    const outputs = { out: '/nix/store/a' };
    const evaluation = { drvPath: '/nix/store/a.drv', outputs, facts: { mainProgram: 'a' } };
    await saveEvaluation(database, 'key', evaluation);
    await saveEvaluation(database, 'key', evaluation);
    assert.deepEqual(await findEvaluation(database, 'key'), evaluation);
    assert.equal(await findDerivation(database, 'a.drv'), undefined);
    const reason = { code: 'build-failed', message: 'no' } as const;
    await saveDerivation(database, 'a.drv', { status: 'failed', reason, buildId: 'b' });
    assert.deepEqual(await findDerivation(database, 'a.drv'), { status: 'failed', reason, buildId: 'b' });
    const success = { status: 'success', outPaths: ['/nix/store/a'], durationMs: 5, buildId: 'c' } as const;
    await saveDerivation(database, 'a.drv', success);
    assert.deepEqual(await findDerivation(database, 'a.drv'), success);
    const image = { digest: 'sha256:00', size: 5, details: { layers: [1] } };
    await saveImage(database, 'image', image);
    assert.deepEqual(await findImage(database, 'image'), image);
    assert.equal(await forgetUnused(database, 1), 0);
    await database.query(`update evaluations set used_at = now() - interval '2 days'`);
    assert.equal(await forgetUnused(database, 1), 1);
  });
});

interface Ended {
  readonly service: string;
  readonly status: string;
  readonly seconds: number;
  readonly size?: number;
  readonly reused?: boolean;
  /** Seconds since it ended. */
  readonly ago?: number;
}

async function ended(database: Database, build: Ended): Promise<string> {
  const { id } = await newBuild(database, { serviceId: build.service });
  await database.query(
    `update builds set status = $2, artifact_size = $3, build_reused = $4,
       ended_at = now() - make_interval(secs => $5::float8),
       started_at = now() - make_interval(secs => $5::float8 + $6::float8) where id = $1`,
    [id, build.status, build.size, build.reused ?? false, build.ago ?? 0, build.seconds],
  );
  return id;
}
