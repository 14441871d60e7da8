/** The first data directory: copied from a prepared one when there is one for this version, else made (seconds). */
import { constants } from 'node:fs';
import { cp, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { KilnError } from '../base/error.ts';

export interface EmbeddedTemplate {
  /** Folder for prepared data directories; shared by processes of one installation, used only when it can be written. */
  readonly directory: string;
  /** Names what the prepared directory holds: engine version and migrations. */
  readonly key: string;
  /** Makes a database with all migrations in an empty folder and closes it. */
  readonly prepare: (dataDirectory: string) => Promise<void>;
}

/** Makes `data` when missing. It appears whole or not at all, wherever this process is killed. */
export async function ensureDataDirectory(
  data: string,
  template: EmbeddedTemplate,
  signal?: AbortSignal,
): Promise<void> {
  if (await exists(join(data, 'PG_VERSION'))) return;
  await removeLeftovers(data);
  const fresh = `${data}.new`;
  const prepared = preparedPath(template);
  if (!(await copyTree(prepared, fresh))) {
    await mkdir(fresh, { mode: 0o700 });
    await template.prepare(fresh);
    await savePrepared(fresh, prepared);
  }
  if (signal?.aborted) throw new KilnError('cancelled', 'Opening the database was cancelled');
  await rename(fresh, data);
}

function preparedPath(template: EmbeddedTemplate): string {
  return join(template.directory, `database-${template.key}`);
}

/** Several processes may do this at once: each copies under a name of its own, the first rename wins. */
async function savePrepared(fresh: string, prepared: string): Promise<void> {
  const copy = `${prepared}.${process.pid}.copy`;
  try {
    await mkdir(dirname(prepared), { recursive: true });
    if (!(await copyTree(fresh, copy))) return;
    await rename(copy, prepared);
    await removeOutdated(prepared);
  } catch {
    // A read-only installation has no prepared directories; the first start then takes its seconds.
  } finally {
    await rm(copy, { recursive: true, force: true }).catch(() => undefined);
  }
}

const OUTDATED_MS = 7 * 24 * 3600 * 1000;

async function removeOutdated(prepared: string): Promise<void> {
  const directory = dirname(prepared);
  for (const name of await readdir(directory)) {
    const path = join(directory, name);
    if (!name.startsWith('database-') || path === prepared) continue;
    const entry = await stat(path).catch(() => undefined);
    if (entry === undefined || Date.now() - entry.mtimeMs < OUTDATED_MS) continue;
    await rm(path, { recursive: true, force: true });
  }
}

async function removeLeftovers(data: string): Promise<void> {
  await rm(`${data}.new`, { recursive: true, force: true });
  // Present without PG_VERSION: nothing that could be a database.
  await rm(data, { recursive: true, force: true });
}

async function copyTree(from: string, to: string): Promise<boolean> {
  if (!(await exists(join(from, 'PG_VERSION')))) return false;
  try {
    await cp(from, to, { recursive: true, mode: constants.COPYFILE_FICLONE });
    return true;
  } catch {
    await rm(to, { recursive: true, force: true });
    return false;
  }
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
