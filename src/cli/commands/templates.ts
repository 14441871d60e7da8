/** `kiln templates` */
import type { Command } from 'commander';
import { printJson, type CommandContext } from '../command-context.ts';
import { table } from '../terminal.ts';

export function defineTemplates(program: Command, context: CommandContext): void {
  program
    .command('templates')
    .summary('kinds of applications that are built without a Nix file')
    .description(
      'Lists the templates. `kiln build template:NAME` builds the example of one; a repository is recognised by its files.',
    )
    .option('--json', 'one JSON document on stdout')
    .action(async (flags: { readonly json?: boolean }) => {
      const { listTemplates } = await import('../../source/templates/list-templates.ts');
      const templates = listTemplates();
      if (flags.json === true) return printJson(context, templates);
      context.out.write(
        `${table(templates.map(({ name, title, description }) => [name, title, description])).join('\n')}\n`,
      );
    });
}
