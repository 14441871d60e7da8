/** `kiln completion bash|zsh|fish` */
import { Argument, type Command } from 'commander';
import type { CommandContext } from '../command-context.ts';
import { examples } from '../create-examples.ts';

export function defineCompletion(program: Command, context: CommandContext): void {
  program
    .command('completion')
    .summary('completion script for a shell')
    .description('Prints a completion script made from the same definitions as the commands.')
    .addArgument(new Argument('<shell>').choices(['bash', 'zsh', 'fish']))
    .addHelpText(
      'after',
      examples([
        ['source <(kiln completion bash)', 'in ~/.bashrc'],
        ['source <(kiln completion zsh)', 'in ~/.zshrc, after compinit'],
        ['kiln completion fish > ~/.config/fish/completions/kiln.fish', 'for fish'],
      ]),
    )
    .action(async (shell: 'bash' | 'zsh' | 'fish') => {
      const { completionScript } = await import('../completion-script.ts');
      context.out.write(completionScript(program, shell));
    });
}
