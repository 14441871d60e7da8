/** Type check, lint and format of the checkout: for `npm run check` and for a test of the suite. */
import { join } from 'node:path';
import { runProcess } from '../src/process/run-process.ts';

export interface StaticCheck {
  readonly name: string;
  /** What to run by hand to repeat it. */
  readonly command: string;
  readonly run: (signal?: AbortSignal) => Promise<{ readonly passed: boolean; readonly output: string }>;
}

const ROOT = join(import.meta.dirname, '..');
const SOURCES = ['src', 'test', 'scripts', 'examples', 'bench'];

export const STATIC_CHECKS: readonly StaticCheck[] = [
  check('types', process.execPath, [
    join(ROOT, 'node_modules/typescript/bin/tsc'),
    '--project',
    ROOT,
    '--pretty',
    'false',
  ]),
  check('lint', join(ROOT, 'node_modules/.bin/oxlint'), ['--type-aware', ...SOURCES]),
  check('format', join(ROOT, 'node_modules/.bin/oxfmt'), ['--check', ...SOURCES]),
];

function check(name: string, program: string, args: readonly string[]): StaticCheck {
  return {
    name,
    command: [program, ...args].join(' ').replaceAll(`${ROOT}/`, ''),
    async run(signal) {
      const { exitCode, stdout, stderr } = await runProcess(program, args, { cwd: ROOT, signal });
      return { passed: exitCode === 0, output: `${stdout}${stderr}`.trim() };
    },
  };
}
