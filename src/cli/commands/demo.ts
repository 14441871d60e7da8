/** `kiln demo` */
import type { Command } from 'commander';
import type { CommandContext } from '../command-context.ts';

export function defineDemo(program: Command, context: CommandContext): void {
  program
    .command('demo')
    .summary('guided first run, end to end')
    .description(
      'Commits an example application to a Git repository, serves it over HTTP, builds it by URL, makes the image, pulls it back by digest, runs it, asks it, changes one line and does it again.',
    )
    .option('--keep', 'leave the repository and the data of the demo behind')
    .action(async (flags: { readonly keep?: boolean }) => {
      const { runDemo } = await import('../demo/run-demo.ts');
      await runDemo(context, { keep: flags.keep ?? false });
    });
}
