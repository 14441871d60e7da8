/** `/nix`, the one folder outside Kiln's own that a Nix store needs. */
import { access, constants, mkdir } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { KilnError } from '../base/error.ts';
import { runProcess } from '../process/run-process.ts';
import type { SetupRun } from './debian-prefix.ts';

export type NixFolder =
  /** This user builds in the store directly. */
  | 'own'
  /** A Nix daemon of the machine builds for this user. */
  | 'daemon';

/**
 * Makes sure that `/nix` can be used, with `sudo` if that needs no password (as Nix's single-user installer does).
 * @throws KilnError tool-missing with the commands that an administrator has to run
 */
export async function prepareNixFolder(run: SetupRun): Promise<NixFolder> {
  if (await canWrite('/nix')) return 'own';
  if (await exists('/nix/var/nix/daemon-socket/socket')) return 'daemon';
  if (
    !(await exists('/nix')) &&
    (await mkdir('/nix', { mode: 0o755 }).then(
      () => true,
      () => false,
    ))
  )
    return 'own';
  const { username, uid } = userInfo();
  const there = await exists('/nix');
  const used = await exists('/nix/store');
  const commands = used
    ? `sudo chown -R ${username} /nix`
    : `sudo mkdir -p -m 0755 /nix && sudo chown ${username} /nix`;
  const refusal = (): KilnError =>
    new KilnError(
      'tool-missing',
      there ? `/nix belongs to another user` : '/nix cannot be made without more rights',
      {
        where: `running as ${username} (uid ${uid})`,
        hint: `Run \`${commands}\` once${used ? ', if nobody else builds with it' : ''}, then start Kiln again.`,
      },
    );
  // A folder with a store in it may be in use by its owner; only that person can decide to hand it over.
  if (used) throw refusal();
  const sudo = (args: readonly string[]): ReturnType<typeof runProcess> =>
    runProcess('sudo', ['-n', ...args], { env: run.env, signal: run.signal, deadlineMs: 20_000 });
  const allowed = await sudo(['true']).then(
    ({ exitCode }) => exitCode === 0,
    () => false,
  );
  if (!allowed) throw refusal();
  run.onProgress?.(`making /nix for ${username} with sudo`);
  for (const args of [
    ['mkdir', '-p', '-m', '0755', '/nix'],
    ['chown', username, '/nix'],
  ]) {
    if ((await sudo(args)).exitCode !== 0) throw refusal();
  }
  return 'own';
}

async function canWrite(path: string): Promise<boolean> {
  return await access(path, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  );
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  );
}
