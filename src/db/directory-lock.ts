/**
 * One process per directory. The lock is SQLite's exclusive file lock: the kernel drops it when the holder ends in whatever
 * way, SIGKILL included, so there is no stale lock to judge. The file beside it only names the holder for people.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { KilnError } from '../base/error.ts';

export interface LockHolder {
  readonly pid: number;
  /** ISO 8601. */
  readonly since: string;
}

export interface LockOptions {
  /** Milliseconds to wait for another holder to end; default 0. */
  readonly waitMs?: number;
  /** Called once before the waiting begins. */
  readonly onWait?: (holder: LockHolder | undefined) => void;
  readonly signal?: AbortSignal;
}

const POLL_MS = 50;

/**
 * Holds `directory` (made when missing) until the result is disposed or the process ends.
 * @throws KilnError database-in-use, with the holder's `pid` in its fields; cancelled
 */
export async function lockDirectory(directory: string, options: LockOptions = {}): Promise<Disposable> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const deadline = performance.now() + (options.waitMs ?? 0);
  let told = false;
  for (;;) {
    const lock = tryLock(directory);
    if (lock !== undefined) return lock;
    const holder = await readHolder(directory);
    if (performance.now() >= deadline) throw inUse(directory, holder);
    if (!told) options.onWait?.(holder);
    told = true;
    await sleep(POLL_MS, undefined, { signal: options.signal }).catch(() => {
      throw new KilnError('cancelled', `Waiting for the database in ${directory} was cancelled`);
    });
  }
}

function tryLock(directory: string): Disposable | undefined {
  const lock = new DatabaseSync(join(directory, 'lock'), { timeout: 0 });
  try {
    lock.exec('PRAGMA journal_mode = MEMORY; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE');
  } catch (error) {
    lock.close();
    if (isBusy(error)) return undefined;
    throw error;
  }
  // Process identifiers come back; the start time tells the holder from a later process with its number.
  writeFileSync(join(directory, 'holder.json'), JSON.stringify(self()));
  return { [Symbol.dispose]: () => lock.close() };
}

function self(): LockHolder & { readonly startTicks?: string } {
  const since = new Date(Date.now() - process.uptime() * 1000).toISOString();
  try {
    const stat = readFileSync('/proc/self/stat', 'utf8');
    return { pid: process.pid, since, startTicks: stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] };
  } catch {
    return { pid: process.pid, since };
  }
}

async function readHolder(directory: string): Promise<LockHolder | undefined> {
  try {
    const value: unknown = JSON.parse(await readFile(join(directory, 'holder.json'), 'utf8'));
    if (typeof value !== 'object' || value === null || !('pid' in value) || !('since' in value))
      return undefined;
    return typeof value.pid === 'number' ? { pid: value.pid, since: String(value.since) } : undefined;
  } catch {
    return undefined; // the holder is just writing it
  }
}

function isBusy(error: unknown): boolean {
  const SQLITE_BUSY = 5;
  return error instanceof Error && 'errcode' in error && error.errcode === SQLITE_BUSY;
}

function inUse(directory: string, holder: LockHolder | undefined): KilnError {
  const who =
    holder === undefined ? 'another process' : `process ${holder.pid}, running since ${holder.since}`;
  return new KilnError('database-in-use', `The embedded database is in use by ${who}`, {
    where: directory,
    hint: 'Use the running server (`KILN_URL`), wait for the other command to end, or set DATABASE_URL to use PostgreSQL from several processes.',
    fields: holder === undefined ? {} : { pid: holder.pid },
  });
}
