/** Who may read from and write to the cache: networks, proxies, tokens. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type CacheAccess, createAccessGuard } from '../src/cache/cache-access.ts';
import { createHttpServer } from '../src/http/http-server.ts';

interface Asker {
  readonly from?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const basic = (password: string): Record<string, string> => ({
  authorization: `Basic ${Buffer.from(`anybody:${password}`).toString('base64')}`,
});

/** Status of a read and of a write. */
async function ask(access: Partial<CacheAccess>, asker: Asker): Promise<string> {
  const guard = createAccessGuard({
    allowedClients: ['127.0.0.0/8', '192.168.0.0/16', 'fd00::/8', '::1'],
    trustedProxies: [],
    readToken: false,
    localWrites: true,
    authenticate: async (token) => {
      const text = token.reveal();
      return ['reader', 'writer'].includes(text)
        ? { name: text, read: true, write: text === 'writer' }
        : undefined;
    },
    ...access,
  });
  await using server = Object.assign(createHttpServer(), {
    [Symbol.asyncDispose]: async () => await server.app.close(),
  });
  server.app.get('/', async (request) => {
    await guard.requireRead(request);
    return {};
  });
  server.app.put('/', async (request) => ({ by: await guard.requireWrite(request) }));
  const statuses = [];
  for (const method of ['GET', 'PUT'] as const) {
    const { statusCode } = await server.app.inject({
      method,
      url: '/',
      headers: { ...asker.headers },
      remoteAddress: asker.from ?? '127.0.0.1',
    });
    statuses.push(statusCode);
  }
  return statuses.join(' ');
}

test('networks that are not allowed are not answered, whatever they bring', async () => {
  const cases: [string, string][] = [
    ['127.0.0.1', '200 200'],
    ['::1', '200 200'],
    ['::ffff:192.168.3.4', '200 401'],
    ['192.168.255.255', '200 401'],
    ['192.169.0.1', '403 403'],
    ['8.8.8.8', '403 403'],
    ['fd12::1', '200 401'],
    ['2001:db8::1', '403 403'],
  ];
  for (const [from, expected] of cases) assert.equal(await ask({}, { from }), expected, from);
  assert.equal(await ask({}, { from: '8.8.8.8', headers: basic('writer') }), '403 403');
});

test('X-Forwarded-For counts only from proxies that are known', async () => {
  const forwarded = (value: string): Record<string, string> => ({ 'x-forwarded-for': value });
  const known = { trustedProxies: ['127.0.0.1', '192.168.1.1'] };
  const cases: [Partial<CacheAccess>, string, string, string][] = [
    // Unknown proxies: on this machine nobody is believed, elsewhere the header is nothing.
    [{}, '127.0.0.1', '127.0.0.1', '403 403'],
    [{}, '8.8.8.8', '192.168.0.1', '403 403'],
    [{}, '192.168.0.9', '127.0.0.1', '200 401'],
    [known, '127.0.0.1', '192.168.0.5', '200 401'],
    [known, '127.0.0.1', '8.8.8.8', '403 403'],
    // What a client wrote itself stands left of what the proxy added.
    [known, '127.0.0.1', '127.0.0.1, 8.8.8.8', '403 403'],
    [known, '127.0.0.1', '8.8.8.8, 192.168.0.5', '200 401'],
    [known, '127.0.0.1', '192.168.0.5, 192.168.1.1', '200 401'],
    [known, '127.0.0.1', 'unknown', '403 403'],
    [known, '127.0.0.1', '', '403 403'],
  ];
  for (const [access, from, header, expected] of cases)
    assert.equal(await ask(access, { from, headers: forwarded(header) }), expected, `${from} ${header}`);
  assert.equal(await ask({}, { headers: { forwarded: 'for=127.0.0.1' } }), '403 403');
});

test('tokens open what their scopes say', async () => {
  const strict = { readToken: true, localWrites: false };
  const cases: [Record<string, string>, string][] = [
    [{}, '401 401'],
    [basic('reader'), '200 403'],
    [basic('writer'), '200 200'],
    [{ authorization: 'Bearer writer' }, '200 200'],
    [basic('wrong'), '401 401'],
    [{ authorization: 'Basic !!!' }, '401 401'],
    [{ authorization: `Basic ${Buffer.from('writer').toString('base64')}` }, '401 401'],
  ];
  for (const [headers, expected] of cases)
    assert.equal(await ask(strict, { from: '192.168.0.1', headers }), expected, JSON.stringify(headers));
  assert.equal(await ask(strict, {}), '401 401');
  assert.equal(await ask({}, { headers: basic('wrong') }), '200 401');
});

test('networks that are none are refused when the server starts', () => {
  for (const text of ['300.1.1.1', '10.0.0.0/33', '10.0.0.0/8/8', 'host', '', '::1/129', '10.0.0.0/'])
    assert.throws(
      () =>
        createAccessGuard({
          allowedClients: [text],
          trustedProxies: [],
          readToken: false,
          localWrites: false,
          authenticate: async () => undefined,
        }),
      /neither an address nor a network/,
      text,
    );
});
