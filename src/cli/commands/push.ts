/** `kiln push REF DEST` */
import type { Command } from 'commander';
import { formatBytes } from '../../base/units.ts';
import { printJson, type CommandContext } from '../command-context.ts';
import { connect } from '../connect.ts';
import { examples } from '../create-examples.ts';

export function definePush(program: Command, context: CommandContext): void {
  program
    .command('push')
    .summary('push an image to another registry')
    .description(
      'Pushes an image of the embedded registry to another one. Only what that lacks travels. Credentials come from the Docker configuration and its helpers, or DOCKER_REGISTRY_USERNAME and DOCKER_REGISTRY_PASSWORD.',
    )
    .argument('<reference>', 'NAME, NAME:TAG or NAME@sha256:…')
    .argument('<destination>', 'REGISTRY/NAME:TAG')
    .option('--json', 'one JSON document on stdout')
    .addHelpText(
      'after',
      examples([['kiln push web registry.example.com/team/web:v1', 'push the image web']]),
    )
    .action(async (reference: string, destination: string, flags: { readonly json?: boolean }) => {
      await using kiln = await connect(context);
      const result = await kiln.pushImage(reference, destination);
      if (flags.json === true) return printJson(context, result);
      context.out.write(
        `pushed ${destination}@${result.digest}, ${formatBytes(result.uploadedBytes)} travelled\n`,
      );
    });
}
