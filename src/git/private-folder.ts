/** A folder for keys that only this user can enter, gone when disposed. What a killed process left is removed by the next one. */
import { mkdtemp, readdir, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isAlive } from '../process/kill-tree.ts';

export interface PrivateFolder extends AsyncDisposable {
  readonly path: string;
}

let swept: Promise<void> | undefined;

/** Makes `<tmp>/kiln-git-<pid namespace>-<pid>-XXXXXX` with mode 0700. */
export async function makePrivateFolder(): Promise<PrivateFolder> {
  const namespace = await pidNamespace();
  swept ??= removeLeftovers(namespace);
  await swept;
  const path = await mkdtemp(join(tmpdir(), `kiln-git-${namespace}-${process.pid}-`));
  return { path, [Symbol.asyncDispose]: async () => await rm(path, { recursive: true, force: true }) };
}

/** Process identifiers mean something only inside their namespace: containers may share a temporary folder. */
async function pidNamespace(): Promise<string> {
  const link = await readlink('/proc/self/ns/pid').catch(() => '');
  return /\d+/.exec(link)?.[0] ?? '0';
}

async function removeLeftovers(namespace: string): Promise<void> {
  for (const name of await readdir(tmpdir()).catch(() => [])) {
    const match = /^kiln-git-(\d+)-(\d+)-\w{6}$/.exec(name);
    if (match === null || match[1] !== namespace || isAlive(Number(match[2]))) continue;
    await rm(join(tmpdir(), name), { recursive: true, force: true }).catch(() => undefined); // another user's
  }
}
