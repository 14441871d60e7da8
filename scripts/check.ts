/** `npm run check`: types, lint and format, without any test. */
import { performance } from 'node:perf_hooks';
import { formatDuration } from '../src/base/units.ts';
import { STATIC_CHECKS } from './static-checks.ts';

for (const { name, command, run } of STATIC_CHECKS) {
  const start = performance.now();
  const { passed, output } = await run();
  if (passed) {
    console.log(`ok      ${name} (${formatDuration(performance.now() - start)})`);
    continue;
  }
  console.log(`${output}\n\nfailed  ${name}: ${command}`);
  process.exitCode = 1;
}
