import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { facts, formatUptime } from './facts.js';
import { MESSAGE } from './message.js';
import { makeServer } from './server.js';

const server = makeServer({ NODE_ENV: 'test' });
let origin;

before(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  origin = `http://127.0.0.1:${server.address().port}`;
});
after(() => {
  server.close();
  server.closeAllConnections();
});

test('the page shows the message', async () => {
  const response = await fetch(origin);
  assert.equal(response.status, 200);
  assert.match(
    await response.text(),
    new RegExp(`<h1>${MESSAGE.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}</h1>`),
  );
});

test('the health check answers', async () => {
  assert.equal(await (await fetch(`${origin}/healthz`)).text(), 'ok\n');
});

test('live measurements arrive as events', async () => {
  const response = await fetch(`${origin}/events`);
  const reader = response.body.getReader();
  const { value } = await reader.read();
  assert.equal(JSON.parse(new TextDecoder().decode(value).slice('data: '.length)).visitors >= 0, true);
  await reader.cancel();
});

test('other pages are not found', async () => {
  assert.equal((await fetch(`${origin}/constructor`)).status, 404);
});

test('a build knows its store path', () => {
  const folder = `/nix/store/${'a'.repeat(32)}-web-node-1.0.0/lib/web-node`;
  assert.equal(facts({}, folder, 0, 0).storePath, `/nix/store/${'a'.repeat(32)}-web-node-1.0.0`);
  assert.equal(formatUptime(3_723_000), '1 h 2 min 3 s');
});
