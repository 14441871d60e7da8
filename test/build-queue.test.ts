/** The queue: order, limits, fairness, superseding, cancelling, trying again. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { beforeEach, test } from 'node:test';
import { KilnError } from '../src/base/error.ts';
import { cancelBuild, enqueueBuild, retryBuild } from '../src/build/build-queue.ts';
import { getBuild, listAttempts, listBuilds, listSteps } from '../src/build/build-queries.ts';
import { identifyProcess } from '../src/build/process-identity.ts';
import { queuePlaces } from '../src/build/queue-queries.ts';
import { readLog } from '../src/build/read-log.ts';
import { recoverBuilds } from '../src/build/recover-builds.ts';
import { findDerivation, saveDerivation } from '../src/build/reuse-queries.ts';
import { watchBuild } from '../src/build/watch-build.ts';
import { newWorkerIdentity } from '../src/build/worker-identity.ts';
import { isAlive } from '../src/process/kill-tree.ts';
import { runProcess } from '../src/process/run-process.ts';
import { gate, newBuild, startWorker, untilEnded } from './harness/build-run.ts';
import { onEachDatabase } from './harness/each-database.ts';

onEachDatabase('the queue', (under) => {
  beforeEach(() =>
    under.database.query('truncate builds, service_turns, build_workers, derivation_leases cascade'),
  );

  test('runs a build through its steps and keeps what it found', async () => {
    await using _worker = await startWorker(under.database, async (_build, context) => {
      await context.step('initiate', async () => undefined);
      await context.step('source', async (step) => {
        step.detail('commit abc\0');
        await context.record({ commitSha: 'abc', branch: 'main', details: { one: 1 } });
      });
      await context.step('build', async (step) => step.reused());
      await context.skipStep('push', 'not asked for');
      return {
        drvPath: '/nix/store/x.drv',
        outPaths: ['/nix/store/x'],
        artifactSize: 12,
        buildReused: true,
        details: { two: 2 },
      };
    });
    const { id } = await newBuild(under.database);
    const build = await untilEnded(under.database, id);
    assert.equal(build.status, 'success');
    assert.deepEqual(
      [build.commitSha, build.branch, build.outPaths, build.artifactSize, build.buildReused, build.details],
      ['abc', 'main', ['/nix/store/x'], 12, true, { one: 1, two: 2 }],
    );
    assert(build.durationMs !== undefined && build.attempt === 1);
    const steps = await listSteps(under.database, id, 1);
    assert.deepEqual(
      steps.map((step) => [step.name, step.status, step.reused]),
      [
        ['initiate', 'success', false],
        ['source', 'success', false],
        ['dependencies', 'skipped', false],
        ['build', 'success', true],
        ['image', 'skipped', false],
        ['push', 'skipped', false],
        ['complete', 'skipped', false],
      ],
    );
    assert.equal(steps[1]?.detail, 'commit abc\ufffd');
  });

  test('runs no more builds at once than allowed on a machine, whichever worker asks', async () => {
    let running = 0;
    let most = 0;
    const execute = async (): Promise<object> => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, 20));
      running--;
      return {};
    };
    const builds = await Promise.all(Array.from({ length: 9 }, () => newBuild(under.database)));
    await using _one = await startWorker(under.database, execute, { limit: 2 });
    await using _two = await startWorker(under.database, execute, { limit: 2 });
    for (const build of builds) assert.equal((await untilEnded(under.database, build.id)).status, 'success');
    assert.equal(most, 2);
  });

  test('takes turns between services', async () => {
    for (const serviceId of ['a', 'a', 'a', 'b', 'b', 'c']) await newBuild(under.database, { serviceId });
    const order: string[] = [];
    const places = await queuePlaces(under.database);
    const services = new Map((await listBuilds(under.database)).map((build) => [build.id, build.serviceId]));
    await using _worker = await startWorker(
      under.database,
      async (build) => {
        order.push(build.serviceId);
        return {};
      },
      { limit: 1 },
    );
    for (const build of await listBuilds(under.database)) await untilEnded(under.database, build.id);
    assert.deepEqual(order, ['a', 'b', 'c', 'a', 'b', 'a']);
    assert.deepEqual(
      places.map((place) => services.get(place.buildId)),
      order,
    );
    assert.deepEqual(
      places.map((place) => place.position),
      [1, 2, 3, 4, 5, 6],
    );
    assert.equal(places[0]?.reason, 'waiting for a worker to start');
  });

  test('lets the newest push replace those of its branch that still wait', async () => {
    const held = gate();
    const blocker = await newBuild(under.database, { supersedesBranch: 'main' });
    await using _worker = await startWorker(under.database, async () => (await held.opened, {}), {
      limit: 1,
    });
    for await (const { build } of watchBuild(under.database, blocker.id, AbortSignal.timeout(9000)))
      if (build.status === 'building') break;
    const old = await newBuild(under.database, { supersedesBranch: 'main' });
    const other = await newBuild(under.database, { supersedesBranch: 'dev' });
    const source = { kind: 'expression', expression: '2' } as const;
    const newer = await enqueueBuild(under.database, {
      serviceId: 'service',
      slug: 'app',
      source,
      supersedesBranch: 'main',
    });
    assert.deepEqual(newer.superseded, [old.id]);
    const cancelled = await getBuild(under.database, old.id);
    assert.equal(cancelled.status, 'cancelled');
    assert.deepEqual(cancelled.reason?.fields, { supersededBy: newer.build.id });
    assert.equal((await queuePlaces(under.database))[0]?.reason, 'waiting for the only build slot');
    held.open();
    for (const id of [blocker.id, other.id, newer.build.id])
      assert.equal((await untilEnded(under.database, id)).status, 'success');
  });

  test('cancels what waits at once, and what runs with its processes', async () => {
    const waiting = await newBuild(under.database);
    assert.equal((await cancelBuild(under.database, waiting.id)).status, 'cancelled');
    await assert.rejects(cancelBuild(under.database, waiting.id), { code: 'conflict' });
    await assert.rejects(cancelBuild(under.database, 'build-none'), { code: 'not-found' });
    let pid = 0;
    const started = gate();
    await using _worker = await startWorker(under.database, async (_build, context) => {
      await context.step('build', () =>
        runProcess('sleep', ['600'], {
          signal: context.signal,
          onStart: (value) => {
            pid = value;
            started.open();
          },
        }),
      );
      return {};
    });
    const { id } = await newBuild(under.database);
    await started.opened;
    await cancelBuild(under.database, id, 'Not wanted');
    const build = await untilEnded(under.database, id);
    assert.deepEqual([build.status, build.reason?.message], ['cancelled', 'Not wanted']);
    assert.equal(isAlive(pid), false);
    assert.equal((await listSteps(under.database, id, 1))[3]?.status, 'cancelled');
  });

  test('tries a failed build again in a new attempt and keeps the old one', async () => {
    await using _worker = await startWorker(under.database, async (build, context) => {
      context.log(`attempt ${build.attempt}`);
      if (build.attempt === 1)
        throw new KilnError('build-failed', 'The builder failed', { where: 'x.drv', hint: 'Read the log.' });
      return {};
    });
    const { id } = await newBuild(under.database);
    const failed = await untilEnded(under.database, id);
    assert.deepEqual([failed.status, failed.reason?.code], ['failed', 'build-failed']);
    await retryBuild(under.database, id);
    assert.equal((await untilEnded(under.database, id)).status, 'success');
    await assert.rejects(retryBuild(under.database, id), { code: 'conflict' });
    assert.deepEqual(
      (await listAttempts(under.database, id)).map((attempt) => attempt.status),
      ['failed', 'success'],
    );
    const lines = await Array.fromAsync(
      readLog(under.database, { buildId: id, attempt: 1 }),
      (line) => line.text,
    );
    assert.deepEqual(lines, ['attempt 1', 'The builder failed', 'x.drv', 'Read the log.']);
  });

  test('tries by itself again when the machine was the reason, a few times', async () => {
    const execute = async (build: { slug: string; attempt: number }): Promise<object> => {
      if (build.slug === 'never' || build.attempt < 3) throw new KilnError('disk-full', 'No space left');
      return {};
    };
    await using _worker = await startWorker(under.database, execute, { backoffMs: [1, 1, 1] });
    const lucky = await newBuild(under.database, { slug: 'third' });
    const unlucky = await newBuild(under.database, { slug: 'never' });
    assert.equal((await untilEnded(under.database, lucky.id)).status, 'success');
    const failed = await untilEnded(under.database, unlucky.id);
    assert.deepEqual([failed.status, failed.reason?.code, failed.attempt], ['failed', 'disk-full', 4]);
    const attempts = await listAttempts(under.database, lucky.id);
    assert.deepEqual(
      attempts.map((attempt) => attempt.status),
      ['aborted', 'aborted', 'success'],
    );
  });

  test('ends a build that takes longer than its limit, and refuses limits out of range', async () => {
    await using _worker = await startWorker(under.database, async (_build, context) => {
      await runProcess('sleep', ['600'], { signal: context.signal });
      return {};
    });
    const { id } = await newBuild(under.database, { options: { buildTimeout: 1 } });
    const build = await untilEnded(under.database, id);
    assert.deepEqual([build.status, build.reason?.code], ['failed', 'timed-out']);
    for (const buildTimeout of [0, 3601, 1.5, Number.NaN]) {
      await assert.rejects(newBuild(under.database, { options: { buildTimeout } }), {
        code: 'invalid-input',
      });
    }
  });

  test('builds a derivation once when two builds need it, and says who waits for whom', async () => {
    const held = gate();
    const drv = '/nix/store/same.drv';
    const worked: string[] = [];
    await using _worker = await startWorker(under.database, async (build, context) => {
      const reused = await context.withDerivation(drv, async (waited) => {
        const known = await findDerivation(under.database, drv);
        if (known !== undefined) return waited;
        worked.push(build.id);
        await held.opened;
        await saveDerivation(under.database, drv, {
          status: 'success',
          outPaths: ['/nix/store/same'],
          buildId: build.id,
        });
        return false;
      });
      return { buildReused: reused };
    });
    const builds = [await newBuild(under.database), await newBuild(under.database)];
    let place;
    while (place === undefined)
      place = (await queuePlaces(under.database)).find((entry) => entry.reason.includes('same derivation'));
    assert.equal(place.position, 0);
    assert.match(place.reason, new RegExp(worked[0] ?? '?'));
    held.open();
    const ended = await Promise.all(builds.map((build) => untilEnded(under.database, build.id)));
    assert.deepEqual(
      ended.map((build) => build.status),
      ['success', 'success'],
    );
    assert.deepEqual(new Set(ended.map((build) => build.buildReused)), new Set([false, true]));
    assert.equal(worked.length, 1);
    await under.database.query('delete from derivations');
  });

  test('gives a build back when its worker stops, and another worker finishes it', async () => {
    const started = gate();
    const first = await startWorker(under.database, async (_build, context) => {
      started.open();
      await runProcess('sleep', ['600'], { signal: context.signal });
      return {};
    });
    const { id } = await newBuild(under.database);
    await started.opened;
    await first[Symbol.asyncDispose]();
    assert.equal((await getBuild(under.database, id)).status, 'pending');
    await using _second = await startWorker(under.database, async () => ({}));
    assert.equal((await untilEnded(under.database, id)).status, 'success');
  });

  test('finds the builds of a worker that died, ends their processes, and gives up after the second time', async () => {
    const { id } = await newBuild(under.database);
    const child = spawn('sleep', ['600'], { stdio: 'ignore', detached: true });
    const exited = new Promise((resolve) => child.once('exit', resolve));
    const identity = await identifyProcess(child.pid ?? 0);
    const { host } = await newWorkerIdentity();
    const die = async (attempt: number): Promise<void> => {
      await under.database.query(
        `update builds set status = 'building', attempt = $2, worker_id = 'dead', host = $3, started_at = now(),
           lease_until = now() + interval '1 hour' where id = $1`,
        [id, attempt, host],
      );
      await under.database.query(
        `insert into build_attempts (build_id, attempt, status, worker_id) values ($1, $2, 'building', 'dead')`,
        [id, attempt],
      );
    };
    await die(1);
    await under.database.query('insert into build_processes values ($1, 1, $2, $3, $4)', [
      id,
      host,
      child.pid,
      identity?.startTicks,
    ]);
    assert.deepEqual(await recoverBuilds(under.database, host), { requeued: [id], failed: [] });
    await exited;
    await die(2);
    assert.deepEqual(await recoverBuilds(under.database, host), { requeued: [], failed: [id] });
    const build = await getBuild(under.database, id);
    assert.deepEqual([build.status, build.reason?.code], ['failed', 'worker-lost']);
    assert.deepEqual(
      (await listAttempts(under.database, id)).map((attempt) => attempt.status),
      ['aborted', 'aborted'],
    );
  });

  test('reports a mistake in the execution as a bug, with the place', async () => {
    const problems: string[] = [];
    const execute = async (): Promise<object> => {
      throw new TypeError('x is not a function');
    };
    await using _worker = await startWorker(under.database, execute, {
      onProblem: (what) => problems.push(what),
    });
    const { id } = await newBuild(under.database);
    const build = await untilEnded(under.database, id);
    assert.deepEqual([build.status, build.reason?.code], ['failed', 'bug']);
    assert.deepEqual(problems, [`build ${id}`]);
  });
});
