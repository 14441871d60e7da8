/** `kiln retry ID` */
import type { Command } from 'commander';
import { printJson, type CommandContext } from '../command-context.ts';
import { connect } from '../connect.ts';
import { followToEnd } from '../follow-build.ts';
import { exitCodeOf, printBuildResult } from '../print-build.ts';

export function defineRetry(program: Command, context: CommandContext): void {
  program
    .command('retry')
    .summary('build again what failed or was cancelled')
    .description('Starts another attempt of a build; the log of every attempt is kept.')
    .argument('<id>', 'identifier of the build')
    .option('--json', 'one JSON document on stdout')
    .action(async (id: string, flags: { readonly json?: boolean }) => {
      await using kiln = await connect(context);
      const build = await followToEnd(context, kiln, await kiln.retryBuild(id), { logs: false });
      if (flags.json === true) printJson(context, build);
      else printBuildResult(context, build);
      process.exitCode = exitCodeOf(build);
    });
}
