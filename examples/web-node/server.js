import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import Mustache from 'mustache';
import { facts, formatUptime } from './facts.js';
import { MESSAGE } from './message.js';

const template = readFileSync(new URL('./page.html', import.meta.url), 'utf8');
const style = readFileSync(new URL('./page.css', import.meta.url));

export function makeServer(environment = process.env) {
  const startedAt = Date.now();
  const listeners = new Set();
  let requests = 0;

  const state = () => ({
    uptime: formatUptime(Date.now() - startedAt),
    requests,
    memory: Math.round(process.memoryUsage.rss() / 2 ** 20),
    exact: process.memoryUsage().heapUsed / 2 ** 20,
    visitors: listeners.size,
  });
  const pulse = setInterval(() => {
    const event = `data: ${JSON.stringify(state())}\n\n`;
    for (const response of listeners) response.write(event);
  }, 1000);
  pulse.unref();

  const routes = {
    '/': (response) => {
      const view = {
        message: MESSAGE,
        ...facts(environment, import.meta.dirname, startedAt, Date.now()),
        ...state(),
      };
      send(response, 200, 'text/html; charset=utf-8', Mustache.render(template, view));
    },
    '/page.css': (response) => send(response, 200, 'text/css; charset=utf-8', style),
    '/healthz': (response) => send(response, 200, 'text/plain; charset=utf-8', 'ok\n'),
    '/api/state': (response) =>
      send(response, 200, 'application/json', `${JSON.stringify({ message: MESSAGE, ...state() })}\n`),
    '/events': (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
      response.write(`data: ${JSON.stringify(state())}\n\n`);
      listeners.add(response);
      response.on('close', () => listeners.delete(response));
    },
  };

  return createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    if (pathname !== '/healthz') requests++;
    const route = Object.hasOwn(routes, pathname) ? routes[pathname] : undefined;
    if (request.method !== 'GET' && request.method !== 'HEAD')
      send(response, 405, 'text/plain', 'GET only\n');
    else if (route === undefined) send(response, 404, 'text/plain', 'There is no such page.\n');
    else route(response);
  }).on('close', () => clearInterval(pulse));
}

function send(response, status, type, body) {
  response.writeHead(status, { 'content-type': type, 'x-content-type-options': 'nosniff' });
  response.end(body);
}

if (import.meta.main ?? process.argv[1] === import.meta.filename) {
  const server = makeServer();
  const port = Number(process.env.PORT ?? 8080);
  server.listen(port, '0.0.0.0', () => console.log(`listening on port ${port}`));
  for (const signal of ['SIGTERM', 'SIGINT']) {
    process.on(signal, () => {
      server.close(() => process.exit(0));
      server.closeAllConnections();
    });
  }
}
