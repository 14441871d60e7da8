/** A release with one changed path, and reading layers out of the registry against nginx and GNU tar. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BenchRun } from '../images.ts';
import { installed, processorTime, residentPeak, shell } from './run.ts';

interface Told {
  readonly url: string;
  readonly cold: { readonly ms: number; readonly hashedBytes: number };
  readonly changed: { readonly ms: number; readonly hashedBytes: number };
  readonly large: { readonly url: string; readonly size: number };
  readonly small: { readonly url: string; readonly size: number };
}

export interface KilnServer extends AsyncDisposable {
  readonly told: Told;
  readonly pid: number;
  /** Milliseconds of a push of the second image. */
  push(host: string): Promise<number>;
}

export const CHANGED = 'kiln, one changed path: image in the registry';
export const COLD = 'kiln, cold: image in the registry';

let servers = 0;
export async function startKiln({ sample, folder }: BenchRun): Promise<KilnServer> {
  const home = join(folder, `kiln-${++servers}`);
  await mkdir(home);
  const args = [
    join(import.meta.dirname, 'kiln-server.ts'),
    home,
    sample.first.root,
    sample.second.root,
    sample.large,
    sample.small.path,
  ];
  const child = spawn(process.execPath, args, {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, ...sample.nix.env },
  });
  const lines = createInterface({ input: child.stdout });
  const told = JSON.parse(await nextLine(child, lines)) as Told;
  return {
    told,
    pid: child.pid ?? 0,
    async push(host) {
      const answer = nextLine(child, lines);
      child.stdin.write(`push ${host}\n`);
      return (JSON.parse(await answer) as { ms: number }).ms;
    },
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit');
      child.stdin.end();
      await ended;
    },
  };
}

export async function changedPath(run: BenchRun): Promise<void> {
  const { figures, repeat, sample } = run;
  for (let at = 0; at < repeat; at++) {
    await using kiln = await startKiln(run);
    const { cold, changed } = kiln.told;
    figures.add(COLD, { ms: cold.ms, peakBytes: residentPeak(kiln.pid) });
    figures.add(CHANGED, { ms: changed.ms });
    if (at > 0) continue;
    figures.value('one changed path: bytes hashed, KiB', changed.hashedBytes / 1024);
    figures.value('cold: bytes hashed / bytes of the closure', cold.hashedBytes / sample.bytes);
  }
  figures.value('one changed path, ms', figures.median(CHANGED, 'ms') ?? 0, ['<=', 400]);
}

export async function registryReads(run: BenchRun): Promise<void> {
  const { figures, folder, sample } = run;
  if (!(await installed('nginx')) || !(await installed('curl'))) return;
  await using kiln = await startKiln(run);
  const { large, small } = kiln.told;
  const files = join(folder, 'nginx');
  await mkdir(files);
  await shell(`curl -sf ${large.url} -o ${files}/large && curl -sf ${small.url} -o ${files}/small`);
  await using nginx = await startNginx(files);
  const tar = `tar -C / -cf - ${sample.small.path.slice(1)} | cat >/dev/null`;
  for (let at = 0; at < Math.max(7, run.repeat); at++) {
    for (const [name, url, pid] of [
      ['kiln: GET of a layer of large files', large.url, kiln.pid],
      ['nginx: GET of the same bytes as a file (large)', `${nginx.url}/large`, nginx.pid],
      ['kiln: GET of a layer of 15 000 small files', small.url, kiln.pid],
      ['nginx: GET of the same bytes as a file (small)', `${nginx.url}/small`, nginx.pid],
    ] as const) {
      const before = processorTime(pid);
      const { ms } = await shell(`curl -sf ${url} -o /dev/null`);
      figures.add(name, { ms, cpuMs: processorTime(pid) - before });
    }
    figures.add('tar | cat of 15 000 small files', await shell(tar));
  }
  const peak = residentPeak(kiln.pid);
  figures.compare(
    'GET of large files: nginx / kiln',
    ['nginx: GET of the same bytes as a file (large)', 'kiln: GET of a layer of large files'],
    ['>=', 0.7],
  );
  figures.compare(
    'GET of small files: kiln / tar',
    ['kiln: GET of a layer of 15 000 small files', 'tar | cat of 15 000 small files'],
    ['<=', 1],
  );
  figures.value('peak memory of the registry with its database, MiB', peak / 2 ** 20);
}

async function startNginx(
  files: string,
): Promise<AsyncDisposable & { readonly url: string; readonly pid: number }> {
  const port = await freePort();
  const config = join(files, 'nginx.conf');
  await writeFile(
    config,
    `daemon off; master_process off; worker_processes 1; pid ${files}/pid; error_log stderr crit; user root;
events { worker_connections 64; }
http { access_log off; sendfile on; tcp_nopush on;
  client_body_temp_path ${files}/a; proxy_temp_path ${files}/b; fastcgi_temp_path ${files}/c; uwsgi_temp_path ${files}/d; scgi_temp_path ${files}/e;
  server { listen 127.0.0.1:${port}; root ${files}; } }`,
  );
  const child = spawn('nginx', ['-c', config, '-p', files], { stdio: ['ignore', 'ignore', 'inherit'] });
  const url = `http://127.0.0.1:${port}`;
  await answers(`${url}/nginx.conf`);
  return { url, pid: child.pid ?? 0, [Symbol.asyncDispose]: () => end(child) };
}

export async function answers(url: string): Promise<void> {
  for (let at = 0; at < 100; at++) {
    if (
      await fetch(url).then(
        (response) => response.ok,
        () => false,
      )
    )
      return;
    await sleep(100);
  }
  throw new Error(`${url} does not answer`);
}

export async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const ended = once(child, 'exit');
  child.kill();
  await ended;
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

async function nextLine(child: ChildProcess, lines: Interface): Promise<string> {
  const ended = once(child, 'exit').then(() => {
    throw new Error('The registry of the benchmark ended');
  });
  ended.catch(() => undefined);
  const [line] = (await Promise.race([once(lines, 'line'), ended])) as [string];
  return line;
}
