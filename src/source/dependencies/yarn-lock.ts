/** Reads yarn.lock of yarn 1. */
import { KilnError } from '../../base/error.ts';
import type { LockedNpmPackage } from './npm-lock.ts';

/** @throws KilnError invalid-input */
export function parseYarnLock(text: string, where: string): readonly LockedNpmPackage[] {
  const found = new Map<string, LockedNpmPackage>();
  let specifiers: string[] = [];
  let fields: Record<string, string> = {};
  const finish = (): void => {
    const entry = lockedPackage(specifiers, fields, where);
    if (entry !== undefined) found.set(entry.location, entry);
    [specifiers, fields] = [[], {}];
  };
  for (const [number, line] of text.split(/\r?\n/).entries()) {
    if (/^\s*(#.*)?$/.test(line)) continue;
    if (/^\S/.test(line)) {
      finish();
      if (!line.endsWith(':')) throw malformed(where, number, line);
      specifiers = line.slice(0, -1).split(/,\s*/).map(unquote);
      continue;
    }
    const field = /^ {2}(\w+|"\w+") (.+)$/.exec(line);
    if (field !== null) fields[unquote(field[1] ?? '')] = unquote(field[2] ?? '');
    else if (!/^ {2}\w+:$| {4}/.test(line)) throw malformed(where, number, line);
  }
  finish();
  return [...found.values()];
}

function lockedPackage(
  specifiers: readonly string[],
  fields: Readonly<Record<string, string>>,
  where: string,
): LockedNpmPackage | undefined {
  const first = specifiers[0];
  const { version, resolved, integrity } = fields;
  if (first === undefined || resolved === undefined) return undefined;
  if (!/^https?:/.test(resolved)) return undefined;
  // `alias@npm:name@range` is stored under the name of what it stands for.
  const name = /^(@?[^@]+)@npm:(@?[^@]+)(@|$)/.exec(first)?.[2] ?? /^(@?[^@]+)/.exec(first)?.[1];
  if (name === undefined || version === undefined || !/^(@[^/@\s]+\/)?[^/@\s]+$/.test(name)) {
    throw new KilnError('invalid-input', `${where} holds an entry without a name or version`, {
      where: `${where}: ${first}`,
    });
  }
  const sha1 = /#([0-9a-f]{40})$/.exec(resolved)?.[1];
  const own =
    integrity ?? (sha1 === undefined ? undefined : `sha1-${Buffer.from(sha1, 'hex').toString('base64')}`);
  return {
    location: resolved.replace(/#.*$/, ''),
    name,
    version,
    resolved: resolved.replace(/#.*$/, ''),
    ...(own === undefined ? {} : { integrity: own }),
    optional: false,
  };
}

function unquote(text: string): string {
  return text.replace(/^"(.*)"$/, '$1');
}

function malformed(where: string, line: number, text: string): KilnError {
  return new KilnError('invalid-input', `${where} is not a lock file of yarn`, {
    where: `${where}:${line + 1}: ${text.slice(0, 120)}`,
    hint: /^<{7}|^>{7}|^={7}/.test(text)
      ? 'Resolve its merge conflict.'
      : 'Run `yarn install` to write it anew.',
  });
}
