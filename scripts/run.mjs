// `node scripts/run.mjs demo|test|check|conformance [arguments]`: sets the checkout up if needed, then runs the command on the right Node.js.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { handOver, root, setUp } from './setup.mjs';

const [command, ...rest] = process.argv.slice(2);
const scripts = { test: 'scripts/test.ts', check: 'scripts/check.ts', conformance: 'scripts/conformance.ts' };

if (command === 'demo') {
  setUp();
  handOver(spawn(join(root, 'bin', 'kiln'), ['demo', ...rest], { stdio: 'inherit' }));
} else if (scripts[command] !== undefined) {
  const node = setUp();
  const args = [
    '--use-system-ca',
    '--disable-warning=ExperimentalWarning',
    join(root, scripts[command]),
    ...rest,
  ];
  handOver(spawn(node, args, { stdio: 'inherit', cwd: root }));
} else {
  console.error('usage: node scripts/run.mjs demo|test|check|conformance [arguments]');
  process.exitCode = 2;
}
