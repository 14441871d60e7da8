/** Verifies uploaded NARs beside the main thread: hashing holds up whatever runs on the same one. */
import { once } from 'node:events';
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import pLimit from 'p-limit';
import type { Failure } from '../base/error.ts';
import { reviveFailure } from '../image/worker-thread.ts';
import { type NarClaim, type VerifiedNar, verifyNar } from './verify-nar.ts';

export interface NarVerifier extends AsyncDisposable {
  /** @throws KilnError invalid-input, too-large, hash-mismatch, tool-missing */
  verify(claim: NarClaim): Promise<VerifiedNar>;
}

export type VerifyAnswer = { readonly verified: VerifiedNar } | { readonly failure: Failure };

/** Bytes of a NAR that is hashed faster than a thread is asked to. */
const SMALL = 256 * 1024;

/** @param threads that verify at the same time; they start with the first large NAR */
export function createNarVerifier(threads = 2): NarVerifier {
  const limit = pLimit(threads);
  const idle: Worker[] = [];
  const all = new Set<Worker>();
  const start = (): Worker => {
    const file = new URL(`./verify-worker${extname(import.meta.url)}`, import.meta.url);
    const worker = new Worker(file, { name: 'verify-worker' });
    worker.setMaxListeners(0);
    all.add(worker);
    return worker;
  };
  const verifyInThread = async (claim: NarClaim): Promise<VerifiedNar> => {
    const worker = idle.pop() ?? start();
    worker.ref();
    try {
      worker.postMessage(claim);
      const [answer] = (await once(worker, 'message')) as [VerifyAnswer];
      worker.unref();
      idle.push(worker);
      if ('verified' in answer) return answer.verified;
      throw reviveFailure(answer.failure);
    } catch (error) {
      if (!idle.includes(worker)) {
        all.delete(worker);
        void worker.terminate();
      }
      throw error;
    }
  };
  return {
    verify: async (claim) =>
      claim.narSize <= SMALL ? await verifyNar(claim) : await limit(() => verifyInThread(claim)),
    async [Symbol.asyncDispose]() {
      limit.clearQueue();
      await Promise.all([...all].map((worker) => worker.terminate()));
    },
  };
}
