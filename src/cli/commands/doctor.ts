/** `kiln doctor` */
import type { Command } from 'commander';
import { printJson, type CommandContext } from '../command-context.ts';
import { table } from '../terminal.ts';

export function defineDoctor(program: Command, context: CommandContext): void {
  program
    .command('doctor')
    .summary('what this machine has and lacks')
    .description('Tells what Kiln needs, what of it is there, and how to get the rest. Installs nothing.')
    .option('--json', 'one JSON document on stdout')
    .action(async (flags: { readonly json?: boolean }) => {
      const { describeSetup } = await import('../../setup/describe-setup.ts');
      const entries = await describeSetup({ env: context.env, signal: context.signal });
      if (flags.json === true) return printJson(context, entries);
      const { style } = context.out;
      const rows = entries.map((entry) => [
        entry.found ? style('green', '✓') : style('yellow', '-'),
        entry.name,
        entry.version ?? '',
        entry.found ? (entry.path ?? '') : entry.howToGet,
      ]);
      context.out.write(`${table(rows).join('\n')}\n`);
      if (entries.some((entry) => !entry.found))
        context.out.write(
          '\nWhat is missing is installed when it is first needed, unless KILN_NO_INSTALL is set.\n',
        );
    });
}
