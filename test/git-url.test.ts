import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import fc from 'fast-check';
import { isKilnError } from '../src/base/error.ts';
import { classifyAddress } from '../src/git/address-class.ts';
import { parseRef, refProblem } from '../src/git/git-ref.ts';
import { splitGitReference } from '../src/git/git-reference.ts';
import { parseGitUrl } from '../src/git/git-url.ts';
import { checkHost, type HostPolicy } from '../src/git/host-policy.ts';

const ACCEPTED: readonly (readonly [text: string, href: string, name: string])[] = [
  ['https://github.com/user/repo.git', 'https://github.com/user/repo.git', 'repo'],
  ['  https://GitHub.com/user/repo/  ', 'https://github.com/user/repo', 'repo'],
  ['https://git.example.org:8443/a/b/c.git', 'https://git.example.org:8443/a/b/c.git', 'c'],
  ['https://gitlab.com/-/snippets/12.git', 'https://gitlab.com/-/snippets/12.git', '12'],
  ['http://git.example.org/x', 'http://git.example.org/x', 'x'],
  ['ssh://git@github.com/user/repo.git', 'ssh://git@github.com/user/repo.git', 'repo'],
  ['ssh://git@git.example.org:2222/user/repo.git', 'ssh://git@git.example.org:2222/user/repo.git', 'repo'],
  ['git+ssh://git@github.com/user/repo', 'ssh://git@github.com/user/repo', 'repo'],
  ['git@github.com:user/repo.git', 'git@github.com:user/repo.git', 'repo'],
  ['github.com:user/repo', 'github.com:user/repo', 'repo'],
  ['git@host.example:/srv/repo.git', 'ssh://git@host.example/srv/repo.git', 'repo'],
  ['git@[2606:4700::1111]:user/repo.git', 'git@[2606:4700::1111]:user/repo.git', 'repo'],
  ['https://[2606:4700::1111]/user/repo', 'https://[2606:4700::1111]/user/repo', 'repo'],
  ['https://2130706433/user/repo', 'https://127.0.0.1/user/repo', 'repo'],
  ['ssh://git@0177.0.0.1/user/repo', 'ssh://git@127.0.0.1/user/repo', 'repo'],
  ['git@0x7f.1:user/repo', 'git@127.0.0.1:user/repo', 'repo'],
];

const REFUSED: readonly (readonly [text: string, reason: RegExp])[] = [
  ['', /empty/],
  ['ext::sh -c touch% /tmp/owned', /remote helper/],
  ['EXT::sh', /remote helper/],
  ['fd::17/foo', /remote helper/],
  ['ftp::http://host/x', /remote helper/],
  ['-oProxyCommand=touch /tmp/owned', /dash/],
  ['--upload-pack=touch /tmp/owned', /dash/],
  ['ssh://-oProxyCommand=id/repo', /dash|not valid/],
  ['ssh://git@-oProxyCommand=id/repo', /dash|not valid/],
  ['git@-oProxyCommand=id:repo', /dash|not valid/],
  ['-oProxyCommand=id@host:repo', /dash/],
  ['ssh://-lroot@host/repo', /login name/],
  ['git@host:-repo', /dash/],
  ['https://host.example/-repo', /dash/],
  ['https://user:hunter2@host.example/repo', /user name or password/],
  ['https://ghp_0123456789abcdef@github.com/u/r', /user name or password/],
  ['ssh://git:hunter2@host.example/repo', /user name or password/],
  ['git:hunter2@host.example:repo', /user name or password/],
  ['https://host.example/repo?access_token=hunter2', /query/],
  ['https://host.example/repo#main', /query or a fragment/],
  ['https://host.example/re\npo', /control/],
  ['https://host.example/re%0apo', /control/],
  ['https://host.example/re%zzpo', /percent/],
  ['https://host.example/\u202egit.exe', /control/],
  ['https://host.example/a b', /space/],
  ['https://host.example\\@evil.example/x', /space or a backslash/],
  ['https://host.example:0/repo', /port 0/],
  ['https://host.example:99999/repo', /not valid/],
  ['ssh://host.example:99999/repo', /not valid/],
  ['ssh://host.example:0/repo', /port 0/],
  ['https:///etc/passwd', /not valid/],
  ['https://', /not valid/],
  ['https://host.example', /no repository/],
  ['https://host.example/', /no repository/],
  ['git@host.example:', /neither/],
  ['git@host.example:../../etc', /"\.\."/],
  ['git://host.example/repo', /"git" is not a transport/],
  ['ftp://host.example/repo', /"ftp" is not a transport/],
  ['file:///etc', /path on the server/],
  ['/etc', /path on the server/],
  ['./repo', /path on the server/],
  ['../repo', /path on the server/],
  ['.', /path on the server/],
  ['repo', /neither/],
  [`https://host.example/${'a'.repeat(3000)}`, /longer than/],
  ['https://exa mple.org/x', /space/],
  ['https://exam$ple.org/x', /host is not valid/],
  ['git@$(id):x', /host/],
  ['git@host;id:x', /host|login/],
];

test('addresses of every accepted form are read and written in one form', () => {
  for (const [text, href, name] of ACCEPTED) {
    const url = parseGitUrl(text);
    assert.equal(url.href, href, text);
    assert.equal(url.name, name, text);
    assert.equal(parseGitUrl(url.href).href, href, `${text} twice`);
  }
});

test('hostile and wrong addresses are refused with a reason and a hint, and without their password', () => {
  for (const [text, reason] of REFUSED) {
    assert.throws(
      () => parseGitUrl(text),
      (error) => {
        assert.ok(isKilnError(error), text);
        assert.equal(error.code, 'git-url', text);
        assert.match(error.message, reason, text);
        assert.ok(error.hint, text);
        assert.doesNotMatch(`${error.message}${error.hint}`, /hunter2|ghp_0123/);
        if (/hunter2@|ghp_/.test(text)) assert.doesNotMatch(error.where ?? '', /hunter2|ghp_0123/);
        return true;
      },
      text,
    );
  }
});

test('a branch and a folder may follow an address on the command line', () => {
  assert.deepEqual(splitGitReference('https://h.example/r.git?ref=feature/x&dir=web'), {
    address: 'https://h.example/r.git',
    ref: 'feature/x',
    subdirectory: 'web',
  });
  assert.deepEqual(splitGitReference('git@h.example:r.git?rev=0123456'), {
    address: 'git@h.example:r.git',
    ref: '0123456',
  });
  assert.deepEqual(splitGitReference('https://h.example/r'), { address: 'https://h.example/r' });
  assert.throws(() => splitGitReference('https://h.example/r?branch=x'), /"branch" is not known/);
});

test('local paths are addresses only for local users', () => {
  assert.equal(parseGitUrl('/srv/some repo', { allowLocal: true }).href, 'file:///srv/some%20repo');
  assert.equal(parseGitUrl('file:///srv/a%20b', { allowLocal: true }).path, '/srv/a b');
  assert.throws(() => parseGitUrl('file://host/srv', { allowLocal: true }), /cannot name another host/);
});

test('whatever the parser accepts has no option, no control character and no credentials in it', () => {
  const part = fc.oneof(
    fc.constantFrom(
      'https://',
      'ssh://',
      'git@',
      'host',
      'example.org',
      ':',
      '/',
      '@',
      '-',
      '--upload-pack=',
      '::',
      'ext',
      '%0a',
      '..',
      '[::1]',
      '\n',
      ':22',
      'a',
      '.git',
      '?',
      '#',
      ' ',
    ),
    fc.string({ maxLength: 6, unit: 'binary' }),
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
      try {
        const url = parseGitUrl(parts.join(''));
        assert.doesNotMatch(url.href, /^-|\p{Cc}|^[a-z]+:\/\/[^/]*:[^/]*@|^\w+::/u);
        assert.doesNotMatch(url.host, /^-|[^a-z0-9._:-]/);
        assert.equal(parseGitUrl(url.href).href, url.href);
      } catch (error) {
        if (!isKilnError(error)) throw error;
      }
    }),
    { numRuns: 3000 },
  );
});

test('addresses are classed by what they are for, in every spelling', () => {
  const table: Readonly<Record<string, readonly string[]>> = {
    loopback: [
      '127.0.0.1',
      '127.255.0.3',
      '::1',
      '::ffff:127.0.0.1',
      '::ffff:7f00:1',
      '64:ff9b::7f00:1',
      '2002:7f00:1::',
    ],
    private: [
      '10.0.0.1',
      '172.31.255.1',
      '192.168.1.1',
      '100.64.0.1',
      '100.100.100.200',
      'fd00:ec2::254',
      '::ffff:10.1.2.3',
      '::10.1.2.3',
    ],
    'link-local': ['169.254.169.254', 'fe80::1', '::ffff:169.254.169.254', '::ffff:a9fe:a9fe'],
    reserved: ['0.0.0.0', '255.255.255.255', '224.0.0.1', '::', 'ff02::1', '192.0.2.1', 'not an address'],
    public: ['1.1.1.1', '140.82.121.4', '2606:4700::1111', '::ffff:8.8.8.8', '172.32.0.1'],
  };
  for (const [kind, addresses] of Object.entries(table)) {
    for (const address of addresses) assert.equal(classifyAddress(address), kind, address);
  }
});

async function hostOutcome(address: string, policy: HostPolicy): Promise<string> {
  return await checkHost(parseGitUrl(address), policy).then(
    () => 'allowed',
    (error: unknown) => (isKilnError(error) ? error.code : String(error)),
  );
}

test('hosts are refused by name and by every address that they resolve to, unless allowed', async () => {
  const to = (...addresses: string[]): HostPolicy => ({ resolve: async () => addresses });
  assert.equal(await hostOutcome('https://a.example/r', to('140.82.121.4')), 'allowed');
  assert.equal(await hostOutcome('https://a.example/r', to('140.82.121.4', '10.0.0.1')), 'git-host-refused');
  assert.equal(await hostOutcome('https://a.example/r', to('::ffff:169.254.169.254')), 'git-host-refused');
  assert.equal(await hostOutcome('https://a.example/r', to('127.0.0.1')), 'git-host-refused');
  assert.equal(
    await hostOutcome('https://a.example/r', { ...to('127.0.0.1'), allowLoopback: true }),
    'allowed',
  );
  assert.equal(
    await hostOutcome('https://a.example/r', { ...to('10.0.0.1'), allowedHosts: ['*.example'] }),
    'allowed',
  );
  assert.equal(
    await hostOutcome('https://a.example/r', { ...to('10.0.0.1'), allowedHosts: ['10.0.0.0/8'] }),
    'allowed',
  );
  assert.equal(
    await hostOutcome('https://a.example/r', {
      ...to('11.0.0.1', '192.168.0.1'),
      allowedHosts: ['10.0.0.0/8'],
    }),
    'git-host-refused',
  );
  assert.equal(await hostOutcome('http://a.example/r', to('140.82.121.4')), 'git-host-refused');
  assert.equal(
    await hostOutcome('http://a.example/r', { ...to('140.82.121.4'), allowedHosts: ['a.example'] }),
    'allowed',
  );
  for (const host of [
    'localhost',
    'x.localhost',
    'metadata.google.internal',
    '169.254.169.254',
    '[::1]',
    '2130706433',
    '0177.1',
    '0x7f000001',
    '[::ffff:127.0.0.1]',
    '0',
  ]) {
    assert.equal(await hostOutcome(`https://${host}/r`, to('140.82.121.4')), 'git-host-refused', host);
    assert.equal(await hostOutcome(`ssh://git@${host}/r`, to('140.82.121.4')), 'git-host-refused', host);
  }
});

test('names of branches are judged as git judges them', () => {
  const names = [
    'main',
    'feature/x',
    'v1.0',
    'a..b',
    '.a',
    'a/.b',
    'a.lock',
    'a.lock/b',
    'a/',
    '/a',
    'a//b',
    'a.',
    'a b',
    'a~1',
    'a^',
    'a:b',
    'a?',
    'a*',
    'a[b',
    'a\\b',
    '@',
    'a@{b',
    '@{',
    'ü',
    'a\u007f',
    'a\tb',
    '{',
    'a@b',
    'HEAD',
    '#1',
    "it's",
  ];
  for (const name of names) {
    let valid = true;
    try {
      execFileSync('git', ['check-ref-format', '--allow-onelevel', name], { stdio: 'ignore' });
    } catch {
      valid = false;
    }
    assert.equal(refProblem(name) === undefined, valid, JSON.stringify(name));
  }
  assert.match(refProblem('--upload-pack=x') ?? '', /dash/);
  assert.throws(() => parseRef('-x'), /starts with a dash/);
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary' }),
      (name) => !/^-|\p{Cc}|\.\./u.test(refProblem(name) === undefined ? name : ''),
    ),
  );
});
