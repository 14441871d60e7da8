/** The end of the demo: one screen with both rounds side by side, and how to go on. */
import { formatBytes, formatDuration } from '../../base/units.ts';
import type { BuildView } from '../../pipeline/build-view.ts';
import type { CommandContext } from '../command-context.ts';
import { table } from '../terminal.ts';

/** One time through: built, pulled, run, asked. */
export interface Round {
  readonly build: BuildView;
  readonly pullMs: number;
  readonly pulledBytes: number;
  readonly runMs: number;
  readonly answeredAfterMs: number;
  readonly line: string;
}

const MEANING: Readonly<Record<string, string>> = {
  source: 'clone, recognise, fetch locked packages',
  dependencies: 'evaluate, find what is missing',
  build: 'build in the sandbox, run the tests',
  image: 'plan, hash, start it under the OCI runtime',
  push: 'publish: the tag moves',
};

export function printSummary(
  context: CommandContext,
  rounds: readonly [Round, Round],
  totalMs: number,
): void {
  const { style } = context.out;
  const [first, second] = rounds;
  const layers = reusedLayers(first.build, second.build);
  const rows = [
    ['', style('bold', 'first'), style('bold', 'one line later'), ''],
    ...Object.entries(MEANING).map(([name, meaning]) => [
      name,
      stepTime(first.build, name),
      stepTime(second.build, name),
      style('dim', meaning),
    ]),
    [
      'pull',
      formatDuration(first.pullMs),
      formatDuration(second.pullMs),
      style('dim', 'by digest, every byte verified'),
    ],
    [
      'run',
      formatDuration(first.runMs),
      formatDuration(second.runMs),
      style('dim', 'unpack what was pulled, start, first answer'),
    ],
    [
      'moved',
      formatBytes(first.pulledBytes),
      formatBytes(second.pulledBytes),
      style('dim', `${layers.reused} of ${layers.all} layers reused`),
    ],
  ];
  const image = second.build.image;
  const lines = [
    '',
    style(
      ['bold', 'green'],
      `✓ Built, proven to start, published, pulled and run, twice, in ${formatDuration(totalMs)}.`,
    ),
    '',
    ...table(rows, [1, 2]).map((line) => `  ${line}`),
    '',
    `  The page said first: ${style('cyan', first.line)}`,
    `  and then:            ${style('cyan', second.line)}`,
    '',
    `  ${image?.reference ?? ''}`,
    `  ${image?.digest ?? ''}`,
    '',
    style('bold', '  The same with your own repository:'),
    ...table([
      [
        '    kiln build https://host/owner/repository',
        style('dim', '# Node, Python, Go or a static site need no Nix file'),
      ],
      ['    kiln build .', style('dim', '# the folder you are in')],
      ['    kiln run demo/web-node -p 8080', style('dim', '# this image again, on http://127.0.0.1:8080')],
      ['    kiln serve', style('dim', '# registry and API; then docker pull localhost:5000/demo/web-node')],
    ]),
    '',
  ];
  context.out.write(`${lines.join('\n')}\n`);
}

function stepTime(build: BuildView, name: string): string {
  const step = build.steps.find((candidate) => candidate.name === name);
  if (step?.durationMs === undefined) return '-';
  return `${formatDuration(step.durationMs)}${step.reused === true ? ' reused' : ''}`;
}

function reusedLayers(
  first: BuildView,
  second: BuildView,
): { readonly reused: number; readonly all: number } {
  const before = new Set(first.image?.layers.map((layer) => layer.digest));
  const after = second.image?.layers ?? [];
  return { reused: after.filter((layer) => before.has(layer.digest)).length, all: after.length };
}
