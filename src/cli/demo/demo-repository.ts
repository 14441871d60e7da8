/** The demo's application in a Git repository of its own, served over HTTP as a forge would. */
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { KilnError } from '../../base/error.ts';
import { serveRepository, type ServedRepository } from '../../git/serve-repository.ts';
import { runChecked } from '../../process/run-process.ts';

const EXAMPLE = fileURLToPath(new URL('../../../examples/web-node', import.meta.url));
/** Fixed, so that the demo makes the same commits, and so the same image, on every machine. */
const AUTHOR = { name: 'Kiln demo', email: 'demo@kiln.invalid', date: '2026-01-01T00:00:00Z' };

export interface DemoRepository extends AsyncDisposable {
  readonly directory: string;
  readonly url: string;
  /** Replaces the line that the page shows. @returns the new commit */
  changeMessage(message: string): Promise<string>;
  readonly commit: string;
}

export async function makeDemoRepository(parent: string, signal: AbortSignal): Promise<DemoRepository> {
  const directory = join(parent, 'web-node');
  await mkdir(parent, { recursive: true });
  await cp(EXAMPLE, directory, { recursive: true, filter: (path) => !path.includes('node_modules') });
  await git(directory, ['init', '--quiet', '--initial-branch=main'], signal);
  const first = await commitAll(directory, 'web: show who built this page', signal);
  const served: ServedRepository = await serveRepository(directory, { name: 'web-node' });
  return {
    directory,
    url: served.url,
    commit: first,
    async changeMessage(message) {
      const file = join(directory, 'message.js');
      const text = await readFile(file, 'utf8');
      await writeFile(
        file,
        text.replace(/MESSAGE = '.*'/, `MESSAGE = ${JSON.stringify(message).replaceAll('"', "'")}`),
      );
      return await commitAll(directory, 'web: say something else', signal);
    },
    [Symbol.asyncDispose]: () => served[Symbol.asyncDispose](),
  };
}

async function commitAll(directory: string, message: string, signal: AbortSignal): Promise<string> {
  await git(directory, ['add', '--all'], signal);
  await git(directory, ['commit', '--quiet', '--no-gpg-sign', '-m', message], signal);
  return (await git(directory, ['rev-parse', 'HEAD'], signal)).trim();
}

async function git(directory: string, args: readonly string[], signal: AbortSignal): Promise<string> {
  const { stdout } = await runChecked('git', args, {
    cwd: directory,
    signal,
    env: {
      PATH: process.env['PATH'],
      HOME: directory,
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_AUTHOR_NAME: AUTHOR.name,
      GIT_AUTHOR_EMAIL: AUTHOR.email,
      GIT_AUTHOR_DATE: AUTHOR.date,
      GIT_COMMITTER_NAME: AUTHOR.name,
      GIT_COMMITTER_EMAIL: AUTHOR.email,
      GIT_COMMITTER_DATE: AUTHOR.date,
    },
    describe: (result) =>
      new KilnError('git-failed', `git ${args[0] ?? ''} failed`, { where: result.stderr.trim() }),
  });
  return stdout;
}
