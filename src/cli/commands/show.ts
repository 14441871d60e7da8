/** `kiln show ID` */
import type { Command } from 'commander';
import { formatDuration } from '../../base/units.ts';
import { printJson, type CommandContext } from '../command-context.ts';
import { connect } from '../connect.ts';
import { printBuildResult } from '../print-build.ts';
import { describePush } from '../print-kept.ts';
import { table } from '../terminal.ts';

export function defineShow(program: Command, context: CommandContext): void {
  program
    .command('show')
    .summary('one build: its steps, result and reason')
    .description('Shows one build: source, steps with their times, result, and why it failed if it did.')
    .argument('<id>', 'identifier of the build')
    .option('--json', 'one JSON document on stdout')
    .action(async (id: string, flags: { readonly json?: boolean }) => {
      await using kiln = await connect(context);
      const build = await kiln.getBuild(id);
      const pushes = await kiln.registry.listPushes(id);
      if (flags.json === true) return printJson(context, { ...build, pushes });
      const { style } = context.out;
      const { kind, url, commit, branch } = build.source;
      context.out.write(
        `${style('bold', build.id)}  ${build.status}${build.attempt > 1 ? `, attempt ${build.attempt}` : ''}\n`,
      );
      context.out.write(`${[kind, url, branch, commit].filter((part) => part !== undefined).join('  ')}\n\n`);
      const rows = build.steps.map((step) => [
        step.name,
        step.reused === true ? 'reused' : step.status,
        step.durationMs === undefined ? '' : formatDuration(step.durationMs),
        step.detail ?? '',
      ]);
      context.out.write(`${table(rows, [2]).join('\n')}\n`);
      for (const push of pushes) context.out.write(`\n${describePush(push)}\n`);
      if (build.status === 'success' || build.reason !== undefined) printBuildResult(context, build);
    });
}
