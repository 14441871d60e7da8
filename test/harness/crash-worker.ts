/**
 * A process to be killed: asks for builds without end and runs them, each with a real program and a log.
 * Prints `queued ID` and `ended ID` once the database has acknowledged it. Arguments: directory, database address or "".
 */
import { openDatabase } from '../../src/db/open-database.ts';
import { waitForBuild } from '../../src/build/watch-build.ts';
import { runProcess } from '../../src/process/run-process.ts';
import { newBuild, startWorker } from './build-run.ts';

const [directory = '', url = ''] = process.argv.slice(2);
const database = await openDatabase({ directory, url, waitMs: 10_000 });
await startWorker(
  database,
  async (build, context) => {
    for (const name of ['source', 'build', 'image'] as const) {
      await context.step(name, async () => {
        for (let line = 1; line <= 20; line++) context.log(`${build.id} ${name} ${line}`);
        await runProcess('sh', ['-c', 'sleep 0.03; echo done'], {
          signal: context.signal,
          env: { ...process.env, ...context.environment },
          onStart: (pid) => context.recordProcess(pid),
          onLine: (text) => context.log(text),
        });
      });
    }
    // Now and then one that does not end by itself, to be found as a leftover.
    if (build.number % 4 === 0) {
      await runProcess('sleep', ['600'], {
        signal: context.signal,
        env: { ...process.env, ...context.environment },
      });
    }
    return { outPaths: [build.id] };
  },
  { limit: 3 },
);

for (let at = 0; ; at++) {
  const { id } = await newBuild(database, { serviceId: `service-${at % 3}` });
  console.log(`queued ${id}`);
  void waitForBuild(database, id, new AbortController().signal).then((build) =>
    console.log(`ended ${id} ${build.status}`),
  );
  await new Promise((resolve) => setTimeout(resolve, 60));
}
