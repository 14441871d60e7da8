/** Tries failed pushes again until they succeed, with longer and longer pauses. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describeFailure, type Failure } from '../base/error.ts';
import {
  addPendingPush,
  claimPendingPush,
  dropPendingPush,
  finishPendingPush,
  hastenPendingPushes,
  nextPendingPush,
  type PendingPush,
  postponePendingPush,
  returnPendingPush,
} from '../catalog/pending-pushes.ts';
import type { LaterPush } from '../pipeline/pipeline-services.ts';
import type { RetryPolicy } from '../registry/client-retry.ts';
import type { Kiln } from './open-kiln.ts';
import { pinPush, unpinPush } from './pin-push.ts';
import { pushFromCatalog } from './push-from-catalog.ts';
import { runInBackground } from './run-in-background.ts';

/** Without a push that waits; new ones may come from other processes. */
const IDLE_MS = 60_000;

/** Keeps the image and remembers where it is to go. */
export async function pushLater(kiln: Kiln, push: LaterPush, failure: Failure): Promise<void> {
  await pinPush(await kiln.catalog(), push);
  const replaced = await addPendingPush(await kiln.db(), push, failure);
  if (replaced !== undefined && replaced.digest !== push.digest)
    await unpinPush(await kiln.catalog(), replaced);
}

/** Works until it is disposed of; begins with everything that waits, however long its pause was to be. */
export function startPendingPushes(kiln: Kiln): AsyncDisposable {
  return runInBackground(kiln, (signal) => run(kiln, signal));
}

/** One after the other; returns how many were tried. */
export async function pushDue(kiln: Kiln, signal: AbortSignal, retry?: RetryPolicy): Promise<number> {
  const db = await kiln.db();
  let tried = 0;
  while (!signal.aborted) {
    const push = await claimPendingPush(db);
    if (push === undefined) break;
    tried++;
    await tryPush(kiln, push, signal, retry);
  }
  return tried;
}

async function run(kiln: Kiln, signal: AbortSignal): Promise<void> {
  let hastened = false;
  while (!signal.aborted) {
    let pause = IDLE_MS;
    try {
      const db = await kiln.db();
      if (!hastened) await hastenPendingPushes(db);
      hastened = true;
      await pushDue(kiln, signal);
      pause = Math.max(100, Math.min(IDLE_MS, (await nextPendingPush(db)) ?? IDLE_MS));
    } catch (error) {
      if (!signal.aborted) kiln.onNotice(`problem: pushes that wait: ${describeFailure(error).message}`);
    }
    await sleep(pause, undefined, { signal, ref: false }).catch(() => undefined);
  }
}

async function tryPush(
  kiln: Kiln,
  push: PendingPush,
  signal: AbortSignal,
  retry?: RetryPolicy,
): Promise<void> {
  const [db, catalog] = [await kiln.db(), await kiln.catalog()];
  const { repository, digest, destination } = push;
  if ((await catalog.resolve(repository, digest)) === undefined) {
    await dropPendingPush(db, destination);
    return kiln.onNotice(`not pushed to ${destination}: the image ${repository}@${digest} was deleted`);
  }
  try {
    await pushFromCatalog(kiln, repository, digest, destination, {
      signal,
      waiting: push,
      ...(retry === undefined ? {} : { retry }),
    });
  } catch (error) {
    if (signal.aborted) return await returnPendingPush(db, push.id);
    await postponePendingPush(db, push, describeFailure(error));
    return kiln.onNotice(
      `${destination} does not take ${repository}@${digest} yet: ${describeFailure(error).message}`,
    );
  }
  await finishPendingPush(db, push);
  await unpinPush(catalog, push);
  kiln.onNotice(`pushed ${repository}@${digest} to ${destination}, attempt ${push.attempts + 1}`);
}
