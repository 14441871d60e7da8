import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { networkInterfaces } from 'node:os';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { openKiln, type Kiln } from '../src/app/open-kiln.ts';
import { serve, type RunningServer } from '../src/app/serve.ts';
import { isLoopback } from '../src/app/server-access.ts';
import { Secret } from '../src/base/secret.ts';
import { matchesPattern, parseAccessScope, scopesAllow } from '../src/registry/access-scope.ts';
import { hashPassword, isPasswordHash, verifyPassword } from '../src/registry/password-hash.ts';
import { workFolder, type WorkFolder } from './harness/work-folder.ts';

const { signal } = new AbortController();

async function kilnWith(work: WorkFolder, settings: string): Promise<Kiln> {
  work.write('kiln.toml', settings);
  return await openKiln({ env: { ...process.env, KILN_HOME: work.path }, signal, onNotice: () => undefined });
}

test('a server that a network reaches does not start before somebody said who may use it', async () => {
  using work = workFolder();
  await using kiln = await kilnWith(work, 'listen = "0.0.0.0:0"\n');
  await assert.rejects(serve(kiln), (error: { code: string; message: string; hint: string }) => {
    assert.equal(error.code, 'invalid-config');
    assert.match(error.message, /0\.0\.0\.0 can be reached over the network/);
    assert.match(error.hint, /registry\.access = "token".*registry\.access = "open"/);
    return true;
  });
  await assert.rejects(serve(kiln, { listen: '[::]:0' }), { code: 'invalid-config' });
});

test('loopback addresses are told from all others', () => {
  for (const host of ['localhost', '127.0.0.1', '127.8.9.1', '::1', '::ffff:127.0.0.1'])
    assert.ok(isLoopback(host), host);
  for (const host of ['0.0.0.0', '::', '', '10.0.0.1', '128.0.0.1', '127.0.0.1.example.org', 'localhost.org'])
    assert.ok(!isLoopback(host), host);
});

describe('a server with tokens', () => {
  const work = workFolder();
  let kiln: Kiln;
  let server: RunningServer;
  let port: string;
  before(async () => {
    const hash = await hashPassword(new Secret('correct horse'));
    const users = work.write('users', `# people\nann ${hash} *:pull\n`);
    kiln = await kilnWith(
      work,
      `listen = "0.0.0.0:0"\n[registry]\naccess = "token"\nusersFile = "${users}"\n[limits]\nuploadSize = "1MiB"\n`,
    );
    server = await serve(kiln);
    port = new URL(server.url).port;
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    await kiln[Symbol.asyncDispose]();
    work[Symbol.dispose]();
  });
  const basic = (name: string, password: string): Record<string, string> => ({
    authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`,
  });
  const v2 = (path: string, init: RequestInit = {}): Promise<Response> =>
    fetch(`http://127.0.0.1:${port}/v2/${path}`, init);
  const outside = (): string | undefined =>
    Object.values(networkInterfaces())
      .flat()
      .find((address) => address?.family === 'IPv4' && !address.internal)?.address;

  test('without credentials a client is sent to the token endpoint, with wrong ones as well', async () => {
    const refused = await v2('');
    assert.equal(refused.status, 401);
    assert.match(refused.headers.get('www-authenticate') ?? '', /^Bearer realm="http:\/\/.*\/v2\/token"/);
    for (const headers of [basic('ann', 'wrong'), basic('bob', 'correct horse'), basic('x', 'kiln_wrong')])
      assert.equal((await v2('', { headers })).status, 401);
    assert.equal((await v2('', { headers: basic('ann', 'correct horse') })).status, 200);
  });

  test('a token opens what its scope says, is stored as a hash, and is worth nothing once revoked', async () => {
    const { token } = await server.api.registry.createToken({ name: 'ci', scopes: ['team/*:pull,push'] });
    const post = (repository: string): Promise<Response> =>
      v2(`${repository}/blobs/uploads/`, { method: 'POST', headers: basic('ci', token) });
    assert.equal((await post('team/app')).status, 202);
    assert.equal((await post('other/app')).status, 403);
    const grant = await v2('token?service=kiln&scope=repository:team/app:pull,push,delete', {
      headers: basic('ci', token),
    });
    const { token: bearer } = (await grant.json()) as { token: string };
    const headers = { authorization: `Bearer ${bearer}` };
    assert.equal((await v2('team/app/blobs/uploads/', { method: 'POST', headers })).status, 202);
    assert.equal((await v2('team/app/manifests/x', { method: 'DELETE', headers })).status, 401);
    const stored = JSON.stringify(await (await kiln.db()).query('select * from registry_tokens'));
    assert.ok(!stored.includes(token));
    assert.equal(spawnSync('grep', ['-rqF', token, work.path]).status, 1);
    await assert.rejects(server.api.registry.createToken({ name: 'ci', scopes: ['api'] }), {
      code: 'conflict',
    });
    await server.api.registry.revokeToken('ci');
    assert.equal((await post('team/app')).status, 401);
  });

  test('an upload larger than the settings allow is refused', async () => {
    const { token } = await server.api.registry.createToken({ name: 'big', scopes: ['*:pull,push'] });
    const begun = await v2('big/blobs/uploads/', { method: 'POST', headers: basic('x', token) });
    const location = `http://127.0.0.1:${port}${begun.headers.get('location')}`;
    const patch = (size: number): Promise<Response> =>
      fetch(location, { method: 'PATCH', body: Buffer.alloc(size), headers: basic('x', token) });
    assert.equal((await patch(1_000_000)).status, 202);
    const refused = await patch(100_000);
    assert.equal(refused.status, 413);
    assert.match(await refused.text(), /SIZE_INVALID.*1\.0 MiB at most/);
  });

  test('the API is for this machine, and from elsewhere for tokens with the scope api', async (context) => {
    const api = (host: string, headers: Record<string, string> = {}): Promise<Response> =>
      fetch(`http://${host}:${port}/api/v1/images`, { headers });
    assert.equal((await api('127.0.0.1')).status, 200);
    assert.equal((await api('127.0.0.1', { 'x-forwarded-for': '203.0.113.9' })).status, 401);
    const address = outside();
    if (address === undefined) return context.skip('this machine has no address but loopback');
    const refused = await api(address);
    assert.equal(refused.status, 401);
    assert.match(await refused.text(), /kiln token create/);
    const narrow = await server.api.registry.createToken({ name: 'narrow', scopes: ['*:pull'] });
    const wide = await server.api.registry.createToken({ name: 'wide', scopes: ['api'] });
    assert.equal((await api(address, { authorization: `Bearer ${narrow.token}` })).status, 403);
    assert.equal((await api(address, { authorization: `Bearer ${wide.token}` })).status, 200);
  });
});

test('scopes cover what their pattern says and nothing beside it', () => {
  const allow = (scope: string, repository: string): boolean =>
    scopesAllow([parseAccessScope(scope)], repository, 'pull');
  assert.ok(allow('team/*:pull', 'team/a/b'));
  assert.ok(!allow('team/*:pull', 'teams/a'));
  assert.ok(!allow('team/*:push', 'team/a'));
  assert.ok(!allow('team/*:pull', '*'));
  assert.ok(allow('*:*', '*'));
  for (const bad of ['', 'team', 'team:', 'team:read', 'TEAM:pull', 'a:pull:b', 'a b:pull'])
    assert.throws(() => parseAccessScope(bad), { code: 'invalid-input' }, bad);
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '/', '-'), maxLength: 12 });
  fc.assert(
    fc.property(text, text, (first, second) => {
      assert.ok(matchesPattern(`${first}*${second}`, `${first}x${second}`));
      assert.equal(matchesPattern(first, second), first === second);
    }),
  );
});

test('a password fits its own hash, and a hash that costs too much or is none fits nothing', async () => {
  const hash = await hashPassword(new Secret('one'));
  assert.ok(isPasswordHash(hash));
  assert.ok(await verifyPassword(new Secret('one'), hash));
  assert.ok(!(await verifyPassword(new Secret('two'), hash)));
  const costly = hash.replace(/^scrypt:\d+/, 'scrypt:4194304');
  for (const bad of [costly, '', 'plain', hash.slice(0, -1)]) assert.ok(!isPasswordHash(bad), bad);
});
