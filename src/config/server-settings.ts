/** The server's `kiln.toml`: every setting with its default and what it is for. */
import { availableParallelism } from 'node:os';
import { z } from 'zod';
import type { Secret } from '../base/secret.ts';
import { duration, httpUrl, listenAddress, size } from './setting-values.ts';

const hostEntry = z
  .string()
  .regex(/^(?:\*\.)?[A-Za-z0-9_.:-]+(?:\/\d{1,3})?$/, 'expected a host, `*.domain`, an address or a network');

const network = z
  .string()
  .regex(/^[\da-fA-F.:]+(?:\/\d{1,3})?$/, 'expected an address or a network like 192.168.0.0/16');

const publicKey = z.string().regex(/^[^:\s]+:[A-Za-z0-9+/]{43}=$/, 'expected name:base64');

/** This machine, and networks that the internet does not route (RFC 1918, 3927, 4193, 4291). */
const PRIVATE_NETWORKS = [
  '127.0.0.0/8',
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '169.254.0.0/16',
  '::1',
  'fc00::/7',
  'fe80::/10',
];

/** Unknown keys are errors everywhere below. Defaults are written as in the file; secrets are named by file only. */
export const serverSettingsSchema = z.strictObject({
  listen: listenAddress().prefault('127.0.0.1:5000').describe('Address of the API and the registry.'),
  url: httpUrl()
    .optional()
    .describe('Address under which others reach this server; also the server that commands use.'),
  home: z
    .string()
    .startsWith('/')
    .optional()
    .describe('Folder for everything that Kiln keeps; default: `~/.local/share/kiln`.'),
  workspace: z
    .string()
    .startsWith('/')
    .optional()
    .describe('Folder for sources while they are built; default: `builds` in `home`.'),
  database: z
    .strictObject({
      urlFile: z
        .string()
        .startsWith('/')
        .optional()
        .describe('File with the `postgres://` address; default: an embedded database in `home`.'),
      connections: z
        .int()
        .min(1)
        .max(500)
        .default(10)
        .describe('Connections that this process opens at most.'),
    })
    .prefault({}),
  limits: z
    .strictObject({
      concurrentBuilds: z
        .int()
        .min(1)
        .max(256)
        .optional()
        .describe('Builds at the same time on this machine; default: half of its processors.'),
      buildTimeout: duration({ min: '1s', max: '1h' })
        .prefault('30m')
        .describe('Time for one build when its request names none.'),
      maxBuildTimeout: duration({ min: '1s', max: '1h' })
        .prefault('1h')
        .describe('The longest time that a request may name.'),
      silence: duration({ min: '1s' })
        .prefault('10m')
        .describe('A build that prints nothing for so long is ended.'),
      logSize: size({ min: '64KiB', max: '1GiB' })
        .prefault('16MiB')
        .describe('Log kept of one attempt; of a longer one the head and the tail.'),
      sourceSize: size({ min: '1MiB' }).prefault('2GiB').describe('Largest source that is built.'),
      uploadSize: size({ min: '1MiB' }).prefault('10GiB').describe('Largest single upload to the registry.'),
    })
    .prefault({}),
  retention: z
    .strictObject({
      builds: duration({ min: '1h' })
        .prefault('30d')
        .describe('How long finished builds and their logs are kept.'),
      buildsPerService: z
        .int()
        .min(1)
        .default(50)
        .describe('Builds of a service that are kept whatever their age.'),
      mirrors: duration({ min: '1h' })
        .prefault('14d')
        .describe('Mirrors of repositories not used for so long are removed.'),
      images: z
        .int()
        .min(0)
        .max(10_000)
        .default(5)
        .describe('Newest images of each repository that are kept whatever their age.'),
      untagged: duration({ min: '1h' })
        .prefault('7d')
        .describe('How long an image is kept after it was pushed or a tag moved away from it.'),
      passingTags: z
        .array(z.string().regex(/^[\w.*?-]{1,128}$/, 'expected a tag with * and ? for any characters'))
        .default(['build-*', '????????-??????'])
        .describe('Tags that keep no image by themselves: those that every build sets.'),
      interval: duration({ min: '1m', max: '7d' })
        .prefault('1h')
        .describe('How often the server removes images that nothing keeps, and unfinished uploads.'),
    })
    .prefault({}),
  git: z
    .strictObject({
      allowedHosts: z
        .array(hostEntry)
        .default([])
        .describe(
          'Hosts (`git.example.org`, `*.example.org`), addresses and networks that may be used although they are private, also over http://.',
        ),
      allowLoopback: z.boolean().default(false).describe('Allows repositories on this machine itself.'),
      timeout: duration({ min: '1s' }).prefault('10m').describe('Time for one fetch.'),
      mirrorSize: size().prefault('5GiB').describe('Disk space for mirrors of repositories.'),
      knownHostsFile: z
        .string()
        .startsWith('/')
        .optional()
        .describe('SSH host keys; default: `git/known_hosts` in `home`.'),
    })
    .prefault({}),
  registry: z
    .strictObject({
      url: z
        .string()
        .regex(/^(?:https?:\/\/)?[A-Za-z0-9_.[\]:-]+(?:\/[\w./-]*)?$/, 'expected host:port or an address')
        .optional()
        .describe('Registry that images are pushed to; default: the embedded one.'),
      username: z.string().optional().describe('User for it.'),
      passwordFile: z.string().startsWith('/').optional().describe('File with its password.'),
      access: z
        .enum(['open', 'token'])
        .optional()
        .describe(
          'Who may use the embedded registry and the API over the network: everybody, or who has a token; default: everybody, on a loopback address only.',
        ),
      anonymousPull: z.boolean().default(false).describe('With `access = "token"`: everybody may pull.'),
      usersFile: z
        .string()
        .startsWith('/')
        .optional()
        .describe(
          'Users of the embedded registry, one per line: `NAME HASH SCOPE…` (see `kiln token user`).',
        ),
      tokenKeyFile: z
        .string()
        .startsWith('/')
        .optional()
        .describe(
          'Key that signs access tokens, for several servers with one database; default: made in `home`.',
        ),
      openUploads: z
        .int()
        .min(1)
        .default(5000)
        .describe('Unfinished uploads to the embedded registry at most, a tenth of them in one repository.'),
      uploadIdle: duration({ min: '1m', max: '7d' })
        .prefault('6h')
        .describe('An unfinished upload that nothing was sent to for so long is removed.'),
    })
    .prefault({}),
  cache: z
    .strictObject({
      url: httpUrl().optional().describe('Binary cache that builds take from.'),
      publicKeys: z.array(publicKey).default([]).describe('Keys whose signatures that cache may carry.'),
      localDir: z
        .string()
        .startsWith('/')
        .optional()
        .describe('Folder of the local cache; default: `cache` in `home`.'),
      size: size().prefault('50GiB').describe('Space for uploaded and fetched cache objects.'),
      serve: z
        .enum(['built', 'all'])
        .default('built')
        .describe(
          'Paths of the store that the binary cache shows: what Kiln built and what its keys signed, or all of them.',
        ),
      priority: z
        .int()
        .min(0)
        .max(1000)
        .default(30)
        .describe('Clients ask caches with lower numbers first; cache.nixos.org has 40.'),
      allowedClients: z
        .array(network)
        .default(PRIVATE_NETWORKS)
        .describe('Networks and addresses that the binary cache answers.'),
      trustedProxies: z
        .array(network)
        .default([])
        .describe('Proxies in front whose X-Forwarded-For tells the client.'),
      readToken: z
        .boolean()
        .default(false)
        .describe('Reading from the binary cache needs a token with the scope `@cache:pull`.'),
      trustedKeys: z
        .array(publicKey)
        .default([])
        .describe('Keys besides those of the cache itself whose signatures uploads may carry.'),
      unsignedUploads: z
        .boolean()
        .default(false)
        .describe('Whoever may upload (`@cache:push`) may upload paths without a trusted signature.'),
      transferEncoding: z
        .enum(['auto', 'always', 'never'])
        .default('auto')
        .describe('zstd on the way: for clients on other machines, for all that take it, or never.'),
    })
    .prefault({}),
  packages: z
    .enum(['auto', 'nixpkgs', 'basis'])
    .default('auto')
    .describe('What `<nixpkgs>` stands for when a build does not say.'),
  log: z
    .strictObject({
      level: z
        .enum(['debug', 'info', 'warn', 'error'])
        .default('info')
        .describe('Least important messages that are written.'),
      format: z
        .enum(['auto', 'text', 'json'])
        .default('auto')
        .describe('`auto`: text on a terminal, else JSON lines.'),
    })
    .prefault({}),
});

/** What the file and the variables say, with units read. */
export type ServerSettingsFile = z.output<typeof serverSettingsSchema>;

/** Settings as the programs use them: every path absolute, every secret read. */
export interface ServerSettings extends Omit<
  ServerSettingsFile,
  'home' | 'workspace' | 'database' | 'registry' | 'cache' | 'git' | 'limits'
> {
  readonly home: string;
  readonly workspace: string;
  readonly database: { readonly url?: Secret; readonly connections: number };
  readonly limits: ServerSettingsFile['limits'] & { readonly concurrentBuilds: number };
  readonly git: ServerSettingsFile['git'] & { readonly knownHostsFile: string; readonly mirrorDir: string };
  readonly registry: Omit<ServerSettingsFile['registry'], 'passwordFile'> & { readonly password?: Secret };
  readonly cache: ServerSettingsFile['cache'] & { readonly localDir: string };
}

export interface EnvironmentSetting {
  readonly variable: string;
  /** The setting that it stands for; absent for those that the file does not have. */
  readonly key?: string;
  readonly description: string;
  readonly secret?: boolean;
}

/** Environment variables; each wins over the file. */
export const ENVIRONMENT: readonly EnvironmentSetting[] = [
  {
    variable: 'KILN_CONFIG',
    description:
      'Path of the settings file; default: `kiln.toml` in the home folder, then `/etc/kiln/kiln.toml`.',
  },
  { variable: 'KILN_HOME', key: 'home', description: 'Folder for everything that Kiln keeps.' },
  { variable: 'KILN_URL', key: 'url', description: 'The server that commands use.' },
  {
    variable: 'DATABASE_URL',
    description: '`postgres://` address of the database; default: an embedded one.',
    secret: true,
  },
  {
    variable: 'NIX_BUILD_WORKSPACE',
    key: 'workspace',
    description: 'Folder for sources while they are built.',
  },
  {
    variable: 'DOCKER_REGISTRY_URL',
    key: 'registry.url',
    description: 'Registry that images are pushed to.',
  },
  { variable: 'DOCKER_REGISTRY_USERNAME', key: 'registry.username', description: 'User for it.' },
  { variable: 'DOCKER_REGISTRY_PASSWORD', description: 'Password for it.', secret: true },
  { variable: 'NIX_CACHE_URL', key: 'cache.url', description: 'Binary cache that builds take from.' },
  {
    variable: 'KILN_WORKER_ID',
    description: 'Name of this machine as a worker; default: its host name. Cache settings go by it.',
  },
  { variable: 'NIX_LOCAL_CACHE_DIR', key: 'cache.localDir', description: 'Folder of the local cache.' },
];

/** Half of the processors: one build uses several itself. */
export function defaultConcurrentBuilds(): number {
  return Math.max(1, Math.floor(availableParallelism() / 2));
}
