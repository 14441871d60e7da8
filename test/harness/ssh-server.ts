/** A real sshd of this machine on a free port, with keys and settings of its own. */
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { userInfo } from 'node:os';
import { join } from 'node:path';

export interface SshServer extends AsyncDisposable {
  readonly port: number;
  /** Text of a private key that may log in. */
  readonly clientKey: string;
  /** The host's public key, `ssh-ed25519 AAAA…`. */
  readonly hostKey: string;
  /** The ssh:// address of a folder. */
  urlOf(path: string): string;
}

const SSHD = '/usr/sbin/sshd';

/** The reason to skip, or false. */
export function sshdMissing(): string | false {
  return existsSync(SSHD) ? false : `${SSHD} is not installed (Debian: apt-get install openssh-server)`;
}

export function makeSshKey(
  file: string,
  passphrase = '',
): { readonly privateKey: string; readonly publicKey: string } {
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', passphrase, '-C', 'test', '-f', file]);
  return { privateKey: readFileSync(file, 'utf8'), publicKey: readFileSync(`${file}.pub`, 'utf8').trim() };
}

export async function startSshServer(folder: string): Promise<SshServer> {
  const work = join(folder, 'sshd');
  mkdirSync(work);
  chmodSync(work, 0o700);
  const host = makeSshKey(join(work, 'host'));
  const client = makeSshKey(join(work, 'client'));
  writeFileSync(join(work, 'authorized'), `${client.publicKey}\n`, { mode: 0o600 });
  // sshd as root separates privileges into this folder and does not make it itself.
  if (userInfo().uid === 0) mkdirSync('/run/sshd', { recursive: true });
  const port = await freePort();
  writeFileSync(
    join(work, 'config'),
    [
      `Port ${port}`,
      'ListenAddress 127.0.0.1',
      `HostKey ${join(work, 'host')}`,
      `AuthorizedKeysFile ${join(work, 'authorized')}`,
      'PidFile none',
      'StrictModes no',
      'UsePAM no',
      'PasswordAuthentication no',
      'KbdInteractiveAuthentication no',
      'PermitRootLogin yes',
      'AcceptEnv GIT_PROTOCOL',
    ].join('\n'),
  );
  const child = spawn(SSHD, ['-D', '-e', '-f', join(work, 'config')], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = new Promise<void>((resolve) => child.on('close', () => resolve()));
  let log = '';
  await new Promise<void>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', () => reject(new Error(`sshd ended: ${log}`)));
    child.stderr.on('data', (chunk: Buffer) => {
      log += chunk.toString();
      if (log.includes('Server listening')) resolve();
    });
  });
  return {
    port,
    clientKey: client.privateKey,
    hostKey: host.publicKey,
    urlOf: (path) => `ssh://${userInfo().username}@127.0.0.1:${port}${path}`,
    [Symbol.asyncDispose]: async () => {
      child.kill();
      await ended;
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}
