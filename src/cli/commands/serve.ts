/** `kiln serve` */
import type { Command } from 'commander';
import type { CommandContext } from '../command-context.ts';
import { examples } from '../create-examples.ts';

interface ServeFlags {
  readonly listen?: string;
}

export function defineServe(program: Command, context: CommandContext): void {
  program
    .command('serve')
    .summary('API and registry on one address, and a worker')
    .description('Serves the API and the registry on one address and builds what is queued.')
    .option('--listen <address:port>', 'address to listen on (default: from the settings, 127.0.0.1:5000)')
    .addHelpText(
      'after',
      examples([['kiln serve', 'then, elsewhere: KILN_URL=http://127.0.0.1:5000 kiln build .']]),
    )
    .action(async (flags: ServeFlags) => {
      const { openKiln } = await import('../../app/open-kiln.ts');
      const { serve } = await import('../../app/serve.ts');
      await using kiln = await openKiln({
        env: context.env,
        signal: context.signal,
        onNotice: (line) => context.err.write(`${line}\n`),
      });
      await using server = await serve(kiln, flags.listen === undefined ? {} : { listen: flags.listen });
      context.err.write(
        `Kiln listens on ${server.url}: registry at /v2/, binary cache at /, API at /api/v1\n`,
      );
      await new Promise<void>((resolve) => {
        if (context.signal.aborted) resolve();
        context.signal.addEventListener('abort', () => resolve(), { once: true });
      });
      context.err.write('stopping: running builds are cancelled or handed back\n');
    });
}
