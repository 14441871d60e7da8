/** A TOML text with the line of each key, so that a complaint about a value can point at it. */
import { parse, TomlError, type TomlTable } from 'smol-toml';
import { KilnError } from '../base/error.ts';

export type KeyPath = readonly (string | number)[];

export interface TomlDocument {
  readonly data: TomlTable;
  /** Line (from 1) of a key or, where only its table is found, of that; undefined for a path that the text does not hold. */
  lineOf(path: KeyPath): number | undefined;
}

/** @param name shown in errors, mostly the file's path. @throws KilnError invalid-config with line, column and the lines around */
export function parseToml(text: string, name: string): TomlDocument {
  try {
    const data = parse(text);
    const lines = keyLines(text);
    return {
      data,
      lineOf: (path) => {
        for (let length = path.length; length > 0; length--) {
          const line = lines.get(path.slice(0, length).join('\0'));
          if (line !== undefined) return line;
        }
        return undefined;
      },
    };
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const reason = error.message.split('\n')[0]?.replace(/^Invalid TOML document: /, '') ?? 'invalid';
    throw new KilnError('invalid-config', `The settings file is not valid TOML: ${reason}`, {
      where: `${name}:${error.line}:${error.column}\n${error.codeblock.trimEnd()}`,
      hint: 'Strings need quotes, tables are written as [name].',
      cause: error,
    });
  }
}

/**
 * Key path (joined by NUL) → line. Reads headers and the beginnings of lines only; keys inside inline tables and
 * multi-line strings are not told apart from others, which can at worst show a neighbouring line.
 */
function keyLines(text: string): Map<string, number> {
  const lines = new Map<string, number>();
  const counts = new Map<string, number>();
  let table: string[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const header = /^\s*\[(\[)?\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$/.exec(line);
    if (header !== null) {
      table = splitKey(header[2] ?? '');
      if (header[1] !== undefined) {
        const key = table.join('\0');
        const count = counts.get(key) ?? 0;
        counts.set(key, count + 1);
        table = [...table, String(count)];
      }
      remember(lines, table, index + 1);
      continue;
    }
    const key =
      /^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=/.exec(
        line,
      )?.[1];
    if (key !== undefined) remember(lines, [...table, ...splitKey(key)], index + 1);
  }
  return lines;
}

function remember(lines: Map<string, number>, path: readonly string[], line: number): void {
  const key = path.join('\0');
  if (!lines.has(key)) lines.set(key, line);
}

function splitKey(text: string): string[] {
  return [...text.matchAll(/"([^"]*)"|'([^']*)'|([A-Za-z0-9_-]+)/g)].map(
    (match) => match[1] ?? match[2] ?? match[3] ?? '',
  );
}
