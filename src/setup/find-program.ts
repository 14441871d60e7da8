/** Looks for programs without running them. */
import { access, constants, stat } from 'node:fs/promises';
import { delimiter, isAbsolute, join } from 'node:path';
import type { Environment } from './kiln-home.ts';

/** Servers and runtimes live here; not every user's PATH has them. */
const SYSTEM_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/local/bin', '/usr/bin', '/bin'];

/** The first executable file of that name on PATH, then in the system's folders and in `extra`. */
export async function findProgram(
  name: string,
  env: Environment = process.env,
  extra: readonly string[] = [],
): Promise<string | undefined> {
  const folders = [...(env['PATH'] ?? '').split(delimiter), ...SYSTEM_FOLDERS, ...extra];
  for (const folder of new Set(folders.filter((path) => isAbsolute(path)))) {
    const file = join(folder, name);
    if (await isProgram(file)) return file;
  }
  return undefined;
}

export async function isProgram(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK);
    return (await stat(file)).isFile();
  } catch {
    return false;
  }
}
