/** Removes, now and then, images that nothing keeps, what only they had, and uploads that nobody finishes. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describeFailure } from '../base/error.ts';
import { formatBytes } from '../base/units.ts';
import type { Kiln } from './open-kiln.ts';
import { runInBackground } from './run-in-background.ts';

/** A server that was just started has better things to do. */
const FIRST_MS = 60_000;

/** Works until it is disposed of. */
export function startRegistryUpkeep(kiln: Kiln): AsyncDisposable {
  return runInBackground(kiln, (signal) => run(kiln, signal));
}

async function run(kiln: Kiln, signal: AbortSignal): Promise<void> {
  const interval = kiln.settings.retention.interval;
  let pause = Math.min(FIRST_MS, interval);
  for (;;) {
    await sleep(pause, undefined, { signal, ref: false }).catch(() => undefined);
    if (signal.aborted) return;
    pause = interval;
    try {
      await tidy(kiln, signal);
    } catch (error) {
      if (!signal.aborted) kiln.onNotice(`problem: the registry's upkeep: ${describeFailure(error).message}`);
    }
  }
}

async function tidy(kiln: Kiln, signal: AbortSignal): Promise<void> {
  const { manifests, blobs, bytes, uploads, leftovers } = await (await kiln.catalog()).collectGarbage(signal);
  if (manifests + blobs + uploads + leftovers === 0) return;
  kiln.onNotice(
    `registry: removed ${manifests} manifests, ${blobs} blobs (${formatBytes(bytes)}), ${uploads} unfinished uploads, ${leftovers} leftovers`,
  );
}
