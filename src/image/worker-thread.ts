/** Starts worker threads of this folder and carries failures across. */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
import { type Failure, KilnError } from '../base/error.ts';

/** Starts `<name>.ts`, or `<name>.js` where the code was compiled. */
export function startWorker(name: 'hash-worker' | 'read-worker', workerData: unknown): Worker {
  const worker = new Worker(new URL(`./${name}${extname(import.meta.url)}`, import.meta.url), {
    workerData,
    name,
  });
  worker.setMaxListeners(0);
  return worker;
}

/** Makes the error again that a worker described. */
export function reviveFailure(failure: Failure): Error {
  if (failure.code === 'bug') return new Error(failure.message, { cause: failure.where });
  const { where, hint, fields } = failure;
  return new KilnError(failure.code, failure.message, {
    ...(where === undefined ? {} : { where }),
    ...(hint === undefined ? {} : { hint }),
    ...(fields === undefined ? {} : { fields }),
  });
}
