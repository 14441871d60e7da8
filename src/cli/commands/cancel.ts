/** `kiln cancel ID` */
import type { Command } from 'commander';
import { printJson, type CommandContext } from '../command-context.ts';
import { connect } from '../connect.ts';

export function defineCancel(program: Command, context: CommandContext): void {
  program
    .command('cancel')
    .summary('cancel a queued or running build')
    .description('Cancels a build: a queued one at once, a running one with everything that it started.')
    .argument('<id>', 'identifier of the build')
    .option('--json', 'one JSON document on stdout')
    .action(async (id: string, flags: { readonly json?: boolean }) => {
      await using kiln = await connect(context);
      const build = await kiln.cancelBuild(id);
      if (flags.json === true) return printJson(context, build);
      context.out.write(`build ${build.id}: ${build.status}\n`);
    });
}
