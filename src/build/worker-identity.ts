/** Who runs builds: a process of a host, recognisable after its death. */
import { randomBytes } from 'node:crypto';
import { readlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { identifyProcess } from './process-identity.ts';

export interface WorkerIdentity {
  readonly id: string;
  /** Where its process numbers mean something: the host's name, inside a container also the process namespace. */
  readonly host: string;
  readonly pid: number;
  readonly startTicks: string;
}

/** The initial process namespace (PROC_PID_INIT_INO of Linux). */
const INITIAL_NAMESPACE = 'pid:[4026531836]';

/** A new worker of this process. */
export async function newWorkerIdentity(): Promise<WorkerIdentity> {
  const self = await identifyProcess(process.pid);
  const namespace = await readlink('/proc/self/ns/pid').catch(() => INITIAL_NAMESPACE);
  const host = namespace === INITIAL_NAMESPACE ? hostname() : `${hostname()}/${namespace.replace(/\D/g, '')}`;
  return {
    id: `${hostname()}-${process.pid}-${randomBytes(4).toString('hex')}`,
    host,
    pid: process.pid,
    startTicks: self?.startTicks ?? '',
  };
}
