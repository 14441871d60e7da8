/** Finds the programs that undo compressions which Node does not know. */
import { delimiter, isAbsolute, join } from 'node:path';
import { KilnError } from '../base/error.ts';
import { runProcess } from '../process/run-process.ts';

const SYSTEM_FOLDERS = ['/usr/bin', '/bin', '/usr/local/bin'];
const found = new Map<string, Promise<string>>();

/**
 * The first program of that name, on PATH or among the system's, that works: one from another system's folder may lack its
 * libraries. @throws KilnError tool-missing
 */
export function findDecoder(name: string): Promise<string> {
  const known = found.get(name);
  if (known !== undefined) return known;
  const searching = search(name);
  found.set(name, searching);
  // It may be installed later.
  searching.catch(() => found.delete(name));
  return searching;
}

async function search(name: string): Promise<string> {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), ...SYSTEM_FOLDERS].filter(isAbsolute);
  for (const folder of new Set(folders)) {
    const program = join(folder, name);
    const result = await runProcess(program, ['--version'], { deadlineMs: 5000 }).catch(() => undefined);
    if (result?.exitCode === 0) return program;
  }
  throw new KilnError('tool-missing', `${name} is not installed on the server`, {
    hint: `Install ${name} there, or upload with ?compression=zstd.`,
  });
}
