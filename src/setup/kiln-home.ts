/** Where Kiln keeps its data and the programs that it installed for itself. */
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

export type Environment = Readonly<Record<string, string | undefined>>;

/** `KILN_HOME`, else `$XDG_DATA_HOME/kiln`, else `~/.local/share/kiln`; absolute, not necessarily there yet. */
export function kilnHome(env: Environment = process.env): string {
  return resolve(env['KILN_HOME'] || sharedHome(env));
}

/** Folders that may hold installed programs, where new ones go first: a second `KILN_HOME` reuses the user's. */
export function toolHomes(env: Environment = process.env): string[] {
  return [...new Set([kilnHome(env), resolve(sharedHome(env))])].map((home) => join(home, 'tools'));
}

/** Downloads that can be had again at any time (package lists and packages), shared by all of the user's homes. */
export function debianDirectory(env: Environment = process.env): string {
  return join(resolve(env['XDG_CACHE_HOME'] || join(env['HOME'] || homedir(), '.cache')), 'kiln', 'debian');
}

function sharedHome(env: Environment): string {
  return join(env['XDG_DATA_HOME'] || join(env['HOME'] || homedir(), '.local', 'share'), 'kiln');
}
