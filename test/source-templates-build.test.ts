/** Applications without a Nix file, each with a real dependency, built in the sandbox on the basis and started. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, realpathSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { buildSource, type BuiltSource } from './harness/build-source.ts';
import { workFolder } from './harness/work-folder.ts';

const EXAMPLE = fileURLToPath(new URL('../examples/web-node', import.meta.url));

async function build(files: Readonly<Record<string, string>>): Promise<BuiltSource> {
  using work = workFolder();
  mkdirSync(join(work.path, 'app'));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(work.path, 'app', name), content);
  return await buildSource({ kind: 'directory', path: join(work.path, 'app') }, work.path);
}

/** Starts the program with nothing but a port in its environment, asks, and ends it with SIGTERM. */
async function answer(program: string, path: string): Promise<string> {
  const port = await freePort();
  const child = spawn(realpathSync(program), [], { env: { PORT: String(port) }, stdio: 'ignore' });
  const ended = once(child, 'exit');
  try {
    for (let attempt = 0; ; attempt++) {
      try {
        return await (await fetch(`http://127.0.0.1:${port}${path}`)).text();
      } catch (error) {
        if (attempt > 200 || child.exitCode !== null) throw error;
        await sleep(50);
      }
    }
  } finally {
    child.kill('SIGTERM');
    await ended;
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

function closure(path: string): string[] {
  return execFileSync('nix-store', ['--query', '--requisites', path], { encoding: 'utf8' })
    .trim()
    .split('\n');
}

test('the example with a locked npm package builds, passes its tests in the sandbox, and answers', async () => {
  using work = workFolder();
  const { source, out } = await buildSource({ kind: 'directory', path: EXAMPLE }, work.path);
  assert.match(source.expression ?? '', /npm ci/);
  assert.match(await answer(join(out, 'bin', 'web-node'), '/'), new RegExp(out.slice(11, 23)));
  // What was downloaded is there to build with, not to run with.
  assert.equal(
    closure(out).some((path) => path.endsWith('-npm-dependencies')),
    false,
  );
});

test('a static site is served with its types and its own page for what is not there', async () => {
  const { out } = await build({ 'index.html': '<h1>site</h1>', '404.html': 'lost' });
  assert.equal(await answer(join(out, 'bin', 'app'), '/'), '<h1>site</h1>');
  assert.equal(await answer(join(out, 'bin', 'app'), '/nowhere'), 'lost');
});

test('a Python application with a wheel that holds machine code builds and answers', async () => {
  const server = `import os
from http.server import BaseHTTPRequestHandler, HTTPServer
from markupsafe import escape
from markupsafe._speedups import _escape_inner

class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(escape("<wheel>").encode())

HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Page).serve_forever()
`;
  const { source, out } = await build({
    'main.py': server,
    'requirements.txt': 'markupsafe==3.0.2\n',
    'kiln.toml': '[image]\nports = [8000]\n',
  });
  assert.equal(source.template, 'python');
  assert.equal(await answer(join(out, 'bin', 'app'), '/'), '&lt;wheel&gt;');
});

test('a Go application with a module builds into one static program', async () => {
  const sums = `rsc.io/quote v1.5.2 h1:w5fcysjrx7yqtD/aO+QwRjYZOKnaM9Uh2b40tElTs3Y=
rsc.io/quote v1.5.2/go.mod h1:LzX7hefJvL54yjefDEDHNONDjII0t9xZLPXsUe+TKr0=
rsc.io/sampler v1.3.0 h1:7uVkIFmeBqHfdjD+gZwtXXI+RODJ2Wc4O7MPEh/QiW4=
rsc.io/sampler v1.3.0/go.mod h1:T1hPZKmBbMNahiBKFy5HrXp6adAjACjK9JXDnKaTXpA=
golang.org/x/text v0.0.0-20170915032832-14c0d48ead0c h1:qgOY6WgZOaTkIIMiVjBQcw93ERBE4m30iBm00nkL0i8=
golang.org/x/text v0.0.0-20170915032832-14c0d48ead0c/go.mod h1:NqM8EUOU14njkJ3fqMW+pc6Ldnwhi/IjpwHt7yyuwOQ=
`;
  const main =
    'package main\n\nimport (\n\t"fmt"\n\t"rsc.io/quote"\n)\n\nfunc main() { fmt.Println(quote.Go()) }\n';
  const { out } = await build({
    'go.mod': `module example.com/proverb

go 1.21

require rsc.io/quote v1.5.2

require (
	golang.org/x/text v0.0.0-20170915032832-14c0d48ead0c // indirect
	rsc.io/sampler v1.3.0 // indirect
)
`,
    'go.sum': sums,
    'main.go': main,
  });
  assert.match(execFileSync(join(out, 'bin', 'proverb'), { encoding: 'utf8' }), /sharing memory/);
  assert.deepEqual(closure(out), [out]);
});
