/** A server that is followed, stopped, killed and started again, on the embedded database and on PostgreSQL. */
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, describe, test } from 'node:test';
import { connectHttp } from '../src/api/http-client.ts';
import type { KilnApi } from '../src/api/kiln-api.ts';
import { parseBuildRequest } from '../src/pipeline/build-request.ts';
import type { BuildEvent, BuildView } from '../src/pipeline/build-view.ts';
import { kilnHome, nixString, parseBuild, runKiln, type KilnHome } from './harness/kiln-cli.ts';
import { startServer } from './harness/kiln-server.ts';
import { postgresMissing, startPostgres, type PostgresServer } from './harness/postgres.ts';

/** Prints numbered lines with pauses of so many seconds. */
function counting(name: string, count: number, pause: number): string {
  const script = `for i in $(seq ${count}); do echo "line $i"; sleep ${pause}; done; echo > $out`;
  return `with import <nixpkgs> {}; runCommand "${name}-${randomUUID()}" {} ${nixString(script)}`;
}

const connect = (url: string): KilnApi => connectHttp(url, { signal: new AbortController().signal });

async function queue(api: KilnApi, expression: string): Promise<BuildView> {
  return await api.createBuild(
    parseBuildRequest({ source: { kind: 'expression', expression }, image: false }),
  );
}

/** The log lines of a stream of events as `ATTEMPT.SEQUENCE TEXT`. */
function lineOf(event: BuildEvent): string[] {
  return event.type === 'log' ? [`${event.attempt}.${event.line.sequence} ${event.line.text}`] : [];
}

async function storedLog(api: KilnApi, id: string, attempt: number): Promise<string[]> {
  const lines = await Array.fromAsync(api.readLog(id, { attempt }));
  return lines.map((line) => `${attempt}.${line.sequence} ${line.text}`);
}

/** Raw server-sent events from `lastEventId` on, until `enough` lines of the log came or the stream ended. */
async function readEvents(
  url: string,
  id: string,
  lastEventId: string | undefined,
  enough: number,
): Promise<{ readonly lines: string[]; readonly lastEventId: string | undefined; readonly ended: boolean }> {
  const response = await fetch(`${url}/api/v1/builds/${id}/events`, {
    headers: lastEventId === undefined ? {} : { 'last-event-id': lastEventId },
  });
  assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/);
  const lines: string[] = [];
  let last = lastEventId;
  let text = '';
  for await (const chunk of response.body ?? []) {
    text += Buffer.from(chunk).toString();
    const events = text.split('\n\n');
    text = events.pop() ?? '';
    for (const block of events) {
      const fields = new Map(
        block
          .split('\n')
          .map((line): [string, string] => [line.replace(/: .*/s, ''), line.replace(/^\w+: /, '')]),
      );
      const data = fields.get('data');
      if (data === undefined) continue;
      const event = JSON.parse(data) as BuildEvent;
      if (event.type === 'end') return { lines, lastEventId: last, ended: true };
      if (lines.length >= enough) continue;
      lines.push(...lineOf(event));
      last = fields.get('id') ?? last;
    }
    if (lines.length >= enough) break; // ends the connection
  }
  return { lines, lastEventId: last, ended: false };
}

for (const kind of ['embedded', 'postgres'] as const) {
  const skip = kind === 'postgres' ? (postgresMissing() ?? false) : false;
  describe(`a server (${kind})`, { skip }, () => {
    let home: KilnHome;
    let postgres: PostgresServer | undefined;
    let port = 0;

    before(async () => {
      home = kilnHome('[limits]\nconcurrentBuilds = 2\n');
      if (kind === 'postgres') {
        postgres = await startPostgres();
        home.env['DATABASE_URL'] = await postgres.createDatabase('kiln');
      }
    });
    after(async () => {
      await postgres?.[Symbol.asyncDispose]();
      home[Symbol.dispose]();
    });
    /** The same port again after the first time, as a restarted service has. */
    const serve = async (): ReturnType<typeof startServer> => {
      const server = await startServer(home, { port });
      port = Number(new URL(server.url).port);
      return server;
    };

    test('shows every line once to a reader that comes back again and again', async () => {
      await using server = await serve();
      const api = connect(server.url);
      const build = await queue(api, counting('lines', 300, 0.01));
      const seen: string[] = [];
      let position: string | undefined;
      for (let ended = false; !ended;) {
        const part = await readEvents(server.url, build.id, position, 40);
        seen.push(...part.lines);
        position = part.lastEventId;
        ended = part.ended;
      }
      assert.equal((await api.getBuild(build.id)).status, 'success');
      assert.deepEqual(seen, await storedLog(api, build.id, 1));
      assert.equal(seen.filter((line) => / line \d+$/.test(line)).length, 300);
    });

    test('that is stopped hands its build back, and a command that follows sees it end after the restart', async () => {
      const server = await serve();
      const following = runKiln(home, ['build', '-', '--no-image', '--json', '--service', 'stopped'], {
        stdin: counting('stopped', 30, 0.1),
        env: { KILN_URL: server.url },
      });
      const api = connect(server.url);
      const id = await firstOf(api, 'stopped');
      await untilLine(api, id, 'line 3');
      assert.equal(await server.stop('SIGTERM'), 0);
      assert.deepEqual(markedProcesses(id), []);
      await using _again = await serve();
      const result = await following;
      assert.equal(result.exitCode, 0, result.stderr);
      const build = parseBuild(result);
      assert.deepEqual([build.id, build.status, build.attempt], [id, 'success', 2]);
      assert.match(result.stderr, /^lost the connection[^]*^connected to .* again$/m);
    });

    test('that is killed loses no line that was shown, and finishes the build at the next start', async () => {
      const server = await serve();
      const api = connect(server.url);
      const build = await queue(api, counting('killed', 30, 0.1));
      const seen: string[] = [];
      const follower = (async () => {
        for await (const event of api.followBuild(build.id, { signal: new AbortController().signal })) {
          seen.push(...lineOf(event));
          if (event.type === 'end') return event.build;
        }
        throw new Error('the end was not seen');
      })();
      await untilLine(api, build.id, 'line 3');
      await server.stop('SIGKILL');
      const shown = [...seen];
      assert.ok(shown.some((line) => line.endsWith(' line 3')));
      await using again = await serve();
      const ended = await follower;
      assert.deepEqual([ended.status, ended.attempt], ['success', 2]);
      assert.match(again.log(), new RegExp(`taking up again after a crash: ${build.id}`));
      const first = await storedLog(connect(again.url), build.id, 1);
      assert.deepEqual(shown, first.slice(0, shown.length));
      assert.deepEqual(seen, [...first, ...(await storedLog(connect(again.url), build.id, 2))]);
      assert.deepEqual(markedProcesses(build.id), []);
    });
  });
}

async function firstOf(api: KilnApi, serviceId: string): Promise<string> {
  for (;;) {
    const [build] = await api.listBuilds({ serviceId });
    if (build !== undefined) return build.id;
    await sleep(50);
  }
}

async function untilLine(api: KilnApi, id: string, text: string): Promise<void> {
  for await (const event of api.followBuild(id, { signal: new AbortController().signal }))
    if (event.type === 'log' && event.line.text === text) return;
}

function markedProcesses(id: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/environ`, 'utf8').includes(`KILN_ATTEMPT=${id}/`);
    } catch {
      return false;
    }
  });
}
