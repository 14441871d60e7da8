/** `kiln cache key show | generate | import | rotate | retire` */
import type { Command } from 'commander';
import { join } from 'node:path';
import { text as readText } from 'node:stream/consumers';
import { KilnError } from '../../base/error.ts';
import { Secret } from '../../base/secret.ts';
import type { KeyRing } from '../../cache/key-ring.ts';
import { printJson, type CommandContext } from '../command-context.ts';
import { examples } from '../create-examples.ts';

interface ShowFlags {
  readonly url?: string;
  readonly json?: boolean;
}

interface Opened {
  readonly ring: KeyRing;
  /** Address of this server for its clients. */
  readonly url: string;
}

export function defineCacheKey(cache: Command, context: CommandContext): void {
  const key = cache
    .command('key')
    .summary('keys that the binary cache signs with')
    .description(
      'Keys that the binary cache signs with: files in `keys` of Kiln’s home, readable by their owner alone. A running server notices what changes.',
    );
  defineShow(key, context);
  key
    .command('generate')
    .description('Makes a key that signs from now on, and prints its public half.')
    .argument('<name>', 'the server’s name and a number, e.g. cache.example.org-1')
    .action(async (name: string) => {
      const { ring } = await open(context);
      context.out.write(`${(await ring.generate(name)).publicKey}\n`);
    });
  key
    .command('import')
    .description('Reads a secret key in Nix’s format from standard input, and prints its public half.')
    .addHelpText(
      'after',
      examples([
        ['kiln cache key import </run/secrets/nix-cache-priv-key', 'a key that clients trust already'],
      ]),
    )
    .action(async () => {
      const { ring } = await open(context);
      const secret = new Secret((await readText(process.stdin)).trim());
      if (secret.reveal() === '') throw new KilnError('usage', 'no key came on standard input');
      context.out.write(`${(await ring.add(secret)).publicKey}\n`);
    });
  key
    .command('rotate')
    .description(
      'Makes the successor of a key. Both sign until the old one is retired, so that clients have time.',
    )
    .argument('[name]', 'of several keys, the one to replace')
    .action(async (name: string | undefined) => {
      const { ring } = await open(context);
      const { old, key: made } = await ring.rotate(name);
      context.out.write(`${made.publicKey}\n`);
      context.err.write(
        `Give it to the clients beside ${old.name} (kiln cache key show prints their lines). When all have it: kiln cache key retire ${old.name}\n`,
      );
    });
  key
    .command('retire')
    .description('Stops signing with a key. Its file is kept in `keys/retired`.')
    .argument('<name>', 'name of the key')
    .action(async (name: string) => {
      const { ring } = await open(context);
      await ring.retire(name);
      context.out.write(`retired ${name}\n`);
    });
}

function defineShow(key: Command, context: CommandContext): void {
  key
    .command('show')
    .description('Prints the public keys, and what clients write into their configuration.')
    .option('--url <url>', 'address of the cache as clients reach it (default: from the settings)')
    .option('--json', 'one JSON document on stdout')
    .action(async (flags: ShowFlags) => {
      const { ring, url: own } = await open(context);
      const url = flags.url ?? own;
      const keys = (await ring.keys()).map((each) => each.publicKey);
      if (keys.length === 0)
        throw new KilnError('not-found', 'There is no signing key yet', {
          hint: 'Make one (kiln cache key generate NAME), or start the server, which makes its first one.',
        });
      const { clientConfiguration } = await import('../../cache/client-configuration.ts');
      const lines = clientConfiguration(url, keys);
      if (flags.json === true) return printJson(context, { url, publicKeys: keys, ...lines });
      context.out.write(
        `${keys.join('\n')}\n\n# nix.conf\n${lines.nixConf}\n# NixOS module\n${lines.nixosModule}\n# flake.nix\n${lines.flake}`,
      );
    });
}

/** The files themselves: secret keys go through no server. */
async function open(context: CommandContext): Promise<Opened> {
  const [{ loadServerSettings }, { openKeyRing }] = await Promise.all([
    import('../../config/load-server-settings.ts'),
    import('../../cache/key-ring.ts'),
  ]);
  const { settings } = await loadServerSettings({ env: context.env });
  const { host, port } = settings.listen;
  const shown = host.includes(':') ? `[${host}]` : host;
  return { ring: openKeyRing(join(settings.home, 'keys')), url: settings.url ?? `http://${shown}:${port}` };
}
