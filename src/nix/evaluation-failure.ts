/** Turns what Nix prints about a failed evaluation into an error that names the place and what to do. Pure. */
import { KilnError } from '../base/error.ts';
import { findReason } from './evaluation-reasons.ts';

export interface NixPosition {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1. */
  readonly column: number;
  /** The lines around it as Nix prints them, with a caret. */
  readonly excerpt: string;
  readonly sourceLine: string;
}

export interface EvaluationContext {
  /** The folder of the user's source: a place inside it is named even where the innermost one is in a library. */
  readonly sourceDirectory?: string;
  /** Shown instead of `«stdin»` and `«string»`. */
  readonly displayName?: string;
  /** The name under which people know a file inside `sourceDirectory`. */
  readonly displayPath?: (file: string) => string;
}

/** @param text what Nix printed, without colours and without the first `error:` */
export function describeEvaluationFailure(text: string, context: EvaluationContext = {}): KilnError {
  const message = finalMessage(text);
  const positions = findPositions(text).map((position) => placed(position, context));
  const innermost = positions.at(-1);
  const reason = findReason(message, text);
  const suggestion = /Did you mean ([^?]+)\?/.exec(text)?.[1];
  return new KilnError(reason.code, reason.message ?? firstParagraph(message), {
    ...(innermost === undefined ? {} : { where: describePlace(innermost, positions, context) }),
    hint: suggestion === undefined ? reason.hint : `Did you mean ${suggestion}? ${reason.hint}`,
    fields: {
      reason: reason.reason,
      ...(innermost === undefined
        ? {}
        : {
            file: innermost.file,
            line: innermost.line,
            column: innermost.column,
            sourceLine: innermost.sourceLine,
          }),
      ...reason.fields,
    },
  });
}

/** Every `at FILE:LINE:COLUMN:` with its excerpt, outermost first. */
function findPositions(text: string): NixPosition[] {
  const lines = text.split('\n');
  const found: NixPosition[] = [];
  for (const [index, line] of lines.entries()) {
    const match = /^\s*at (.{1,4096}):(\d{1,9}):(\d{1,9})(:?)$/.exec(line);
    if (match === null) continue;
    const excerpt: string[] = [];
    for (const next of lines.slice(index + 1, index + 8)) {
      if (!/^\s+(\d+)?\|/.test(next)) break;
      excerpt.push(next);
    }
    const number = match[2] ?? '';
    const source = excerpt.find((candidate) => candidate.trimStart().startsWith(`${number}|`));
    found.push({
      file: match[1] ?? '',
      line: Number(number),
      column: Number(match[3]),
      excerpt: dedent(excerpt).replace(/\n\d+\|$/, ''),
      sourceLine: source?.replace(/^\s*\d+\| ?/, '') ?? '',
    });
  }
  return found;
}

/** The message after the innermost `error:` of a trace, without its position. */
function finalMessage(text: string): string {
  const start = text.lastIndexOf('\n       error:');
  const tail = start < 0 ? text : text.slice(start + '\n       error:'.length);
  const lines = tail.split('\n');
  const end = lines.findIndex((line) => /^\s*at .+:\d+:\d+:?$/.test(line) || /^\s*Did you mean /.test(line));
  return dedent(end < 0 ? lines : lines.slice(0, end)).trim();
}

function firstParagraph(message: string): string {
  const paragraph =
    message
      .split(/\n\s*\n/)[0]
      ?.replace(/\s*\n\s*/g, ' ')
      .trim() ?? '';
  return paragraph === '' ? 'Nix could not evaluate the expression' : paragraph.slice(0, 2000);
}

function describePlace(
  innermost: PlacedPosition,
  positions: readonly PlacedPosition[],
  context: EvaluationContext,
): string {
  const place = `${innermost.file}:${innermost.line}:${innermost.column}\n${innermost.excerpt}`.trimEnd();
  if (context.sourceDirectory === undefined || innermost.own) return place;
  const own = positions.findLast((position) => position.own);
  if (own === undefined) return place;
  return `${place}\ncalled from ${own.file}:${own.line}:${own.column}\n${own.excerpt}`.trimEnd();
}

function isInside(file: string, directory: string): boolean {
  return file.startsWith(`${directory.replace(/\/$/, '')}/`);
}

interface PlacedPosition extends NixPosition {
  /** Inside the user's source. */
  readonly own: boolean;
}

/** The position with the name that people know its file by. */
function placed(position: NixPosition, context: EvaluationContext): PlacedPosition {
  const { displayName, displayPath, sourceDirectory } = context;
  const own = sourceDirectory !== undefined && isInside(position.file, sourceDirectory);
  if (own) return { ...position, own, file: displayPath?.(position.file) ?? position.file };
  const typed = displayName !== undefined && /^«(stdin|string)»$/.test(position.file);
  return { ...position, own, file: typed ? displayName : position.file };
}

function dedent(lines: readonly string[]): string {
  const indents = lines
    .filter((line) => line.trim() !== '')
    .map((line) => line.length - line.trimStart().length);
  const indent = indents.length === 0 ? 0 : Math.min(...indents);
  return lines.map((line) => line.slice(indent).trimEnd()).join('\n');
}
