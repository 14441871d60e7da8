/** The last screen of a build: what did I get, where is it, what next. */
import { ERRORS } from '../base/error.ts';
import { formatBytes, formatDuration } from '../base/units.ts';
import type { BuildView } from '../pipeline/build-view.ts';
import type { CommandContext } from './command-context.ts';
import { printFailure } from './print-error.ts';
import { table } from './terminal.ts';

export function printBuildResult(context: CommandContext, build: BuildView): void {
  if (build.status === 'success') printSuccess(context, build);
  else printFailed(context, build);
}

/** A build that failed exits as its reason says: 1 for the work, 3 for the machine, 70 for a bug. */
export function exitCodeOf(build: BuildView): 0 | 1 | 3 | 70 {
  if (build.status === 'success') return 0;
  const code = build.reason?.code ?? 'build-failed';
  if (code === 'bug') return 70;
  return ERRORS[code].exit === 3 ? 3 : 1;
}

function printSuccess(context: CommandContext, build: BuildView): void {
  const { style } = context.out;
  const rows: string[][] = [];
  for (const path of build.outPaths) rows.push(['output', path]);
  if (build.image !== undefined) {
    const { image } = build;
    rows.push(['image', style('bold', image.reference)]);
    rows.push(['digest', image.digest]);
    rows.push(['size', `${formatBytes(image.size)} in ${image.layers.length} layers`]);
  }
  for (const check of build.startChecks ?? []) {
    rows.push([
      check.profile === 'default' ? 'started' : 'strict',
      check.passed ? check.detail : `no: ${check.reason ?? check.detail}`,
    ]);
  }
  rows.push(['build', `${build.id}, ${formatDuration(build.durationMs ?? 0)}`]);
  context.out.write(
    `\n${table(rows.map(([name = '', value = '']) => [style('dim', name), value])).join('\n')}\n`,
  );
  if (build.image !== undefined) {
    const { reference } = build.image;
    context.out.write(
      `\n${style('dim', 'next')}     kiln run ${reference} · kiln image ${reference} · kiln push ${reference} REGISTRY/NAME:TAG\n`,
    );
  }
}

function printFailed(context: CommandContext, build: BuildView): void {
  context.err.write('\n');
  if (build.reason !== undefined) printFailure(context.err, build.reason);
  else context.err.write(`build ${build.id}: ${build.status}\n`);
  context.err.write(
    `\n${context.err.style('dim', 'log')}      kiln logs ${build.id} · again: kiln retry ${build.id}\n`,
  );
}
