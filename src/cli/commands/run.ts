/** `kiln run REF [-- ARGS]` */
import type { Command } from 'commander';
import type { RunnableImage } from '../../api/kiln-api.ts';
import type { CommandContext } from '../command-context.ts';
import { connect } from '../connect.ts';
import { examples } from '../create-examples.ts';

interface RunFlags {
  readonly port?: string;
  readonly env: string[];
  readonly strict?: boolean;
  readonly network: string;
}

export function defineRun(program: Command, context: CommandContext): void {
  program
    .command('run')
    .summary('run an image under an OCI runtime')
    .description(
      'Runs an image of the embedded registry and forwards its first port to this machine. Its network has no way out unless --network host is given. Ends with the image, or on Ctrl-C.',
    )
    .argument('<reference>', 'NAME, NAME:TAG or NAME@sha256:…')
    .argument('[args...]', 'arguments instead of the default ones')
    .option(
      '-p, --port <[HOST:]PORT>',
      'port of this machine, or HOST:PORT-of-the-image; default: any free one',
    )
    .option(
      '-e, --env <NAME=VALUE>',
      'environment variable (repeatable)',
      (value: string, all: string[]) => [...all, value],
      [],
    )
    .option('--strict', 'read-only root, no capabilities, arbitrary user')
    .option('--network <kind>', 'loopback or host', 'loopback')
    .addHelpText('after', examples([['kiln run web -p 8080', 'answer on 127.0.0.1:8080']]))
    .action(async (reference: string, args: string[], flags: RunFlags) => {
      const { runImage } = await import('../run-image.ts');
      await runImage(context, await findImage(context, reference), {
        args,
        env: flags.env,
        network: flags.network === 'host' ? 'host' : 'loopback',
        profile: flags.strict === true ? 'strict' : 'default',
        ...(flags.port === undefined ? {} : { port: flags.port }),
      });
    });
}

/** Kiln is closed again before the image runs, so that other commands need not wait for it. */
async function findImage(context: CommandContext, reference: string): Promise<RunnableImage> {
  await using kiln = await connect(context);
  return await kiln.getRunnable(reference);
}
