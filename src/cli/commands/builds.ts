/** `kiln builds` */
import type { Command } from 'commander';
import { formatDuration } from '../../base/units.ts';
import { systemClock } from '../../base/clock.ts';
import type { BuildView } from '../../pipeline/build-view.ts';
import { printJson, type CommandContext } from '../command-context.ts';
import { connect } from '../connect.ts';
import { examples } from '../create-examples.ts';
import { table, timeAgo } from '../terminal.ts';

interface BuildsFlags {
  readonly service?: string;
  readonly status?: string;
  readonly limit: string;
  readonly json?: boolean;
}

export function defineBuilds(program: Command, context: CommandContext): void {
  program
    .command('builds')
    .summary('list builds, newest first')
    .description(
      'Lists builds, newest first, with their state; queued ones with their place and why they wait.',
    )
    .option('--service <id>', 'only this service')
    .option('--status <status>', 'pending, building, success, failed or cancelled')
    .option('-n, --limit <count>', 'how many', '20')
    .option('--json', 'one JSON document on stdout')
    .addHelpText('after', examples([['kiln builds --status failed', 'what went wrong lately']]))
    .action(async (flags: BuildsFlags) => {
      await using kiln = await connect(context);
      const builds = await kiln.listBuilds({
        limit: Number(flags.limit),
        ...(flags.service === undefined ? {} : { serviceId: flags.service }),
        ...(flags.status === undefined ? {} : { status: flags.status }),
      });
      if (flags.json === true) return printJson(context, builds);
      if (builds.length === 0) return context.out.write('No builds yet. Start one: kiln build .\n');
      const rows = builds.map((build) => row(context, build));
      context.out.write(
        `${table([['BUILD', 'STATE', 'SOURCE', 'IMAGE', 'TIME', 'WHEN'], ...rows]).join('\n')}\n`,
      );
    });
}

function row(context: CommandContext, build: BuildView): string[] {
  const commit = build.source.commit?.slice(0, 8);
  const source = build.source.url ?? build.source.template ?? build.source.kind;
  return [
    build.id,
    describeState(context, build),
    commit === undefined ? source : `${source} ${commit}`,
    build.image?.reference ?? '',
    build.durationMs === undefined ? '' : formatDuration(build.durationMs),
    timeAgo(Date.parse(build.createdAt), systemClock.now()),
  ];
}

function describeState(context: CommandContext, build: BuildView): string {
  const { style } = context.out;
  switch (build.status) {
    case 'success':
      return style('green', '✓ success');
    case 'failed':
      return style('red', '✗ failed');
    case 'cancelled':
      return style('yellow', '- cancelled');
    case 'building':
      return style('cyan', '> building');
    default:
      return build.queue === undefined ? '· pending' : `· ${build.queue.position}. ${build.queue.reason}`;
  }
}
