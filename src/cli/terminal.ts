/** What a terminal can show: colours only on one, `NO_COLOR` honoured, widths counted without escape sequences. */
import { stripVTControlCharacters, styleText } from 'node:util';

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'cyan' | 'blue';

export interface Terminal {
  /** True where lines may be redrawn. */
  readonly live: boolean;
  readonly columns: number;
  style(style: Style | readonly Style[], text: string): string;
  write(text: string): void;
}

/** A terminal on `stream` (stderr for progress, stdout for results). */
export function openTerminal(stream: NodeJS.WriteStream, env: NodeJS.ProcessEnv): Terminal {
  const live = stream.isTTY && env['TERM'] !== 'dumb' && env['CI'] === undefined;
  const colours = stream.isTTY && env['NO_COLOR'] === undefined && env['TERM'] !== 'dumb';
  return {
    live,
    get columns() {
      return stream.columns ?? 100;
    },
    style: (style, text) =>
      colours ? styleText([style].flat() as Style[], text, { validateStream: false }) : text,
    write: (text) => void stream.write(text),
  };
}

function visibleLength(text: string): number {
  return stripVTControlCharacters(text).length;
}

/** Pads with spaces to `width` visible characters. */
export function pad(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - visibleLength(text)));
}

/** Cuts to `width` visible characters; text with escape sequences loses them when cut. */
export function cut(text: string, width: number): string {
  if (visibleLength(text) <= width) return text;
  return `${stripVTControlCharacters(text).slice(0, Math.max(0, width - 1))}…`;
}

/** Rows as columns, each as wide as its widest cell; cells of columns in `right` are aligned to the right. */
export function table(rows: readonly (readonly string[])[], right: readonly number[] = []): string[] {
  const widths: number[] = [];
  for (const row of rows)
    row.forEach((cell, index) => (widths[index] = Math.max(widths[index] ?? 0, visibleLength(cell))));
  return rows.map((row) =>
    row
      .map((cell, index) => {
        const width = widths[index] ?? 0;
        return right.includes(index) ? ' '.repeat(width - visibleLength(cell)) + cell : pad(cell, width);
      })
      .join('  ')
      .trimEnd(),
  );
}

/** `3 min ago`, `2 h ago`; the exact time is for `--json`. */
export function timeAgo(thenMs: number, nowMs: number): string {
  const seconds = Math.max(0, Math.round((nowMs - thenMs) / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}
