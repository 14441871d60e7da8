/** Removes copies of source trees, with their generated expressions, that no build has asked for lately. */
import { readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';

/** Removes what was last used more than `olderThanMs` ago; returns how many. */
export async function pruneTrees(workspace: string, olderThanMs: number, now: number): Promise<number> {
  let removed = 0;
  for (const kind of ['trees', 'incoming', 'commits']) {
    for (const name of await readdir(path.join(workspace, kind)).catch(() => [])) {
      const folder = path.join(workspace, kind, name);
      const { mtimeMs } = await stat(folder).catch(() => ({ mtimeMs: now }));
      if (now - mtimeMs < olderThanMs) continue;
      await rm(folder, { recursive: true, force: true });
      removed++;
    }
  }
  return removed;
}
