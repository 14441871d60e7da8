/** Worker thread: verifies one uploaded NAR after the other. */
import { parentPort } from 'node:worker_threads';
import { describeFailure } from '../base/error.ts';
import type { VerifyAnswer } from './nar-verifier.ts';
import { type NarClaim, verifyNar } from './verify-nar.ts';

parentPort?.on('message', (claim: NarClaim) => {
  const answer = (message: VerifyAnswer): void => parentPort?.postMessage(message);
  verifyNar(claim).then(
    (verified) => answer({ verified }),
    (error: unknown) => answer({ failure: describeFailure(error) }),
  );
});
