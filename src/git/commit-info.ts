/** Reads a commit of a repository on this machine. */
import { realpath } from 'node:fs/promises';
import { KilnError, isKilnError, systemErrorCode } from '../base/error.ts';
import { parseRef } from './git-ref.ts';
import { runLocalGit } from './git-session.ts';

export interface CommitInfo {
  readonly sha: string;
  readonly message: string;
  readonly author: string;
  readonly authorEmail: string;
  /** ISO 8601. */
  readonly date: string;
}

/** @param ref commit, branch or tag; default HEAD. @throws KilnError not-found, git-branch, git-failed */
export async function readCommit(directory: string, ref = 'HEAD', signal?: AbortSignal): Promise<CommitInfo> {
  const name = parseRef(ref);
  const folder = await realpath(directory).catch((error: unknown) => {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
    throw new KilnError('not-found', 'The folder does not exist', { where: directory });
  });
  try {
    const { stdout } = await runLocalGit(
      [
        'log',
        '-1',
        '--no-show-signature',
        '--no-color',
        '--no-ext-diff',
        '--no-textconv',
        '--no-decorate',
        '--format=%H%x00%an%x00%ae%x00%aI%x00%B',
        '--end-of-options',
        `${name}^{commit}`,
        '--',
      ],
      { cwd: folder, signal },
    );
    const [sha = '', author = '', authorEmail = '', date = '', ...message] = stdout.split('\0');
    return { sha, author, authorEmail, date, message: message.join('\0').trim() };
  } catch (error) {
    if (!isKilnError(error) || error.code !== 'git-failed') throw error;
    throw new KilnError('git-branch', `The folder's repository has no commit "${name}"`, {
      where: folder,
      cause: error,
    });
  }
}
