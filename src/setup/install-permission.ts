/** Whether Kiln may install programs: `KILN_NO_INSTALL=1` forbids all of it. */
import { KilnError } from '../base/error.ts';
import type { Environment } from './kiln-home.ts';

export function mayInstall(env: Environment = process.env): boolean {
  const value = env['KILN_NO_INSTALL'] ?? '';
  return value === '' || value === '0';
}

/** @throws KilnError tool-missing with `instructions` when installing is forbidden */
export function demandPermission(
  what: string,
  instructions: string,
  env?: Environment,
  where?: string,
): void {
  if (mayInstall(env)) return;
  throw new KilnError('tool-missing', `${what} is not installed, and KILN_NO_INSTALL forbids installing it`, {
    ...(where === undefined ? {} : { where }),
    hint: instructions,
  });
}
