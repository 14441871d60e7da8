/** `kiln logs ID [-f]` */
import type { Command } from 'commander';
import { printJson, type CommandContext } from '../command-context.ts';
import { connect } from '../connect.ts';
import { examples } from '../create-examples.ts';
import { formatLogLine } from '../follow-build.ts';
import type { LogLineView } from '../../pipeline/build-view.ts';

interface LogsFlags {
  readonly follow?: boolean;
  readonly attempt?: string;
  readonly derivation?: string;
  readonly json?: boolean;
}

export function defineLogs(program: Command, context: CommandContext): void {
  program
    .command('logs')
    .summary('the log of a build')
    .description('Prints the log of a build, of any of its attempts, also while it runs.')
    .argument('<id>', 'identifier of the build')
    .option('-f, --follow', 'go on until the build ends')
    .option('--attempt <number>', 'an earlier attempt')
    .option('--derivation <name>', 'only lines of derivations with this in their name')
    .option('--json', 'one JSON document on stdout')
    .addHelpText('after', examples([['kiln logs ID -f', 'follow a running build']]))
    .action(async (id: string, flags: LogsFlags) => {
      await using kiln = await connect(context);
      const print = (line: LogLineView): void =>
        context.out.write(`${formatLogLine({ ...context, err: context.out }, line)}\n`);
      if (flags.follow === true && flags.json !== true) {
        for await (const event of kiln.followBuild(id, { signal: context.signal })) {
          if (event.type === 'log') print(event.line);
          if (event.type === 'end') return;
        }
        return;
      }
      const lines = kiln.readLog(id, {
        ...(flags.attempt === undefined ? {} : { attempt: Number(flags.attempt) }),
        ...(flags.derivation === undefined ? {} : { derivation: flags.derivation }),
      });
      if (flags.json === true) return printJson(context, await Array.fromAsync(lines));
      for await (const line of lines) print(line);
    });
}
