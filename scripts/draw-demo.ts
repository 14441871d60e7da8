/** Program: runs the demo in a terminal (util-linux `script`) and draws its last screen as `docs/demo.svg`. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runChecked } from '../src/process/run-process.ts';
import { drawTerminal } from './docs/draw-terminal.ts';

const ROOT = join(import.meta.dirname, '..');

// The progress goes to standard error, the last screen to standard output.
const { stdout } = await runChecked('script', ['-qec', 'bin/kiln demo 2>/dev/null', '/dev/null'], {
  cwd: ROOT,
  env: { ...process.env, TERM: 'xterm-256color', NO_COLOR: undefined },
});
writeFileSync(join(ROOT, 'docs', 'demo.svg'), drawTerminal('npm run demo', stdout));
