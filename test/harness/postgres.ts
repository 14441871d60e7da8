/** A PostgreSQL server of the tests' own: in a temporary folder, on a Unix socket, gone with the test process. */
import { spawn, spawnSync, type ChildProcess, type SpawnSyncReturns } from 'node:child_process';
import { chmodSync, chownSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface PostgresServer extends AsyncDisposable {
  /** Creates an empty database. @returns its address for DATABASE_URL */
  createDatabase(name: string): Promise<string>;
  /** Stops the server the hard way and starts it again. */
  restart(): Promise<void>;
}

const UNPRIVILEGED_USERS = ['postgres', 'nobody'];

/** Undefined with PostgreSQL's programs in place, else why the tests that need them are skipped. */
export function postgresMissing(): string | undefined {
  if (findPrograms() === undefined) return 'PostgreSQL is not installed (Debian: apt-get install postgresql)';
  if (process.getuid?.() === 0 && unprivilegedUser() === undefined)
    return 'there is no user that may run PostgreSQL';
  return undefined;
}

export async function startPostgres(): Promise<PostgresServer> {
  const programs = findPrograms();
  if (programs === undefined) throw new Error(postgresMissing());
  const user = process.getuid?.() === 0 ? unprivilegedUser() : undefined;
  // Short: a socket's path has at most 107 bytes.
  const folder = mkdtempSync(join(tmpdir(), 'kiln-pg-'));
  chmodSync(folder, 0o700);
  if (user !== undefined) chownSync(folder, user.uid, user.gid);
  const data = join(folder, 'data');
  const options = { cwd: folder, ...user };
  const initdb = ['-D', data, '-U', 'kiln', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'];
  check(spawnSync(join(programs, 'initdb'), initdb, options), 'initdb');
  const settings = [
    'listen_addresses=',
    `unix_socket_directories=${folder}`,
    'fsync=off',
    'shared_buffers=16MB',
  ];
  const args = ['-D', data, ...settings.flatMap((setting) => ['-c', setting])];
  const address = (name: string): string => `postgres://kiln@/${name}?host=${encodeURIComponent(folder)}`;
  const createdb = (name: string): SpawnSyncReturns<Buffer> =>
    spawnSync(join(programs, 'createdb'), ['-h', folder, '-U', 'kiln', name], { cwd: folder });
  const isReady = (): boolean =>
    spawnSync(join(programs, 'pg_isready'), ['-q', '-h', folder, '-U', 'kiln'], { cwd: folder }).status === 0;

  const start = async (): Promise<ChildProcess> => {
    const child = spawn(join(programs, 'postgres'), args, { ...options, stdio: 'ignore' });
    while (!isReady()) {
      if (child.exitCode !== null) throw new Error(`postgres ended with exit code ${child.exitCode}`);
      await sleep(50);
    }
    return child;
  };
  let server = await start();
  const removeFolder = (): void => {
    server.kill('SIGQUIT');
    rmSync(folder, { recursive: true, force: true });
  };
  process.once('exit', removeFolder);
  return {
    async createDatabase(name) {
      check(createdb(name), `createdb ${name}`);
      return address(name);
    },
    async restart() {
      await stop(server, 'SIGINT');
      server = await start();
    },
    async [Symbol.asyncDispose]() {
      await stop(server, 'SIGQUIT');
      process.off('exit', removeFolder);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

async function stop(server: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  const ended = new Promise((resolve) => server.once('exit', resolve));
  server.kill(signal);
  await ended;
}

/** Debian keeps the server's programs of each version in a folder that is not on PATH. */
function findPrograms(): string | undefined {
  const versions = (() => {
    try {
      return readdirSync('/usr/lib/postgresql').sort((a, b) => Number(b) - Number(a));
    } catch {
      return [];
    }
  })();
  const folders = [
    ...versions.map((version) => `/usr/lib/postgresql/${version}/bin`),
    ...(process.env['PATH'] ?? '').split(':'),
  ];
  return folders.find((folder) => spawnSync(join(folder, 'initdb'), ['--version']).status === 0);
}

function unprivilegedUser(): { readonly uid: number; readonly gid: number } | undefined {
  for (const name of UNPRIVILEGED_USERS) {
    const uid = Number(spawnSync('id', ['-u', name]).stdout.toString() || Number.NaN);
    const gid = Number(spawnSync('id', ['-g', name]).stdout.toString() || Number.NaN);
    if (Number.isInteger(uid) && Number.isInteger(gid)) return { uid, gid };
  }
  return undefined;
}

function check(result: SpawnSyncReturns<Buffer>, what: string): void {
  if (result.status === 0) return;
  throw new Error(`${what} failed: ${result.error?.message ?? result.stderr.toString()}`);
}
