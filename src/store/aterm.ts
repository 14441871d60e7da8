/** The part of the ATerm syntax that derivations use: `Name(…)`, strings, lists, tuples. No white space. */
import { KilnError } from '../base/error.ts';

export type Aterm = string | { readonly type: 'list' | 'tuple'; readonly items: readonly Aterm[] };

export interface Constructor {
  readonly name: string;
  readonly fields: readonly Aterm[];
}

/** Derivations nest three deep; this leaves room and keeps hostile input off the stack. */
const MAX_DEPTH = 32;

/** @throws KilnError invalid-input, with the offset of the fault */
export function readAterm(text: string): Constructor {
  const name = /^[A-Za-z]{1,40}(?=\()/.exec(text)?.[0];
  if (name === undefined) throw fault(0, 'a name and a parenthesis');
  const cursor: Cursor = { text, position: name.length + 1 };
  const fields = readItems(cursor, ')', 0);
  if (cursor.position !== text.length) throw fault(cursor.position, 'the end');
  return { name, fields };
}

interface Cursor {
  readonly text: string;
  position: number;
}

function readTerm(cursor: Cursor, depth: number): Aterm {
  const start = cursor.position;
  const character = cursor.text[start];
  if (depth > MAX_DEPTH) throw fault(start, `at most ${MAX_DEPTH} brackets in each other`);
  cursor.position++;
  if (character === '"') return readString(cursor);
  if (character === '[') return { type: 'list', items: readItems(cursor, ']', depth + 1) };
  if (character === '(') return { type: 'tuple', items: readItems(cursor, ')', depth + 1) };
  throw fault(start, 'a string, a list or a tuple');
}

function readItems(cursor: Cursor, close: string, depth: number): Aterm[] {
  const items: Aterm[] = [];
  if (cursor.text[cursor.position] === close) {
    cursor.position++;
    return items;
  }
  for (;;) {
    items.push(readTerm(cursor, depth));
    const separator = cursor.text[cursor.position];
    if (separator !== ',' && separator !== close) throw fault(cursor.position, `a comma or ${close}`);
    cursor.position++;
    if (separator === close) return items;
  }
}

const UNESCAPED: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' };

function readString(cursor: Cursor): string {
  const { text } = cursor;
  const parts: string[] = [];
  for (;;) {
    const end = nextSpecial(text, cursor.position);
    if (end < 0) throw fault(text.length, 'the end of a string');
    parts.push(text.slice(cursor.position, end));
    cursor.position = end + 1;
    if (text[end] === '"') return parts.join('');
    const escaped = text[cursor.position];
    if (escaped === undefined) throw fault(text.length, 'an escaped character');
    parts.push(UNESCAPED[escaped] ?? escaped);
    cursor.position++;
  }
}

function nextSpecial(text: string, from: number): number {
  for (let position = from; position < text.length; position++) {
    const code = text.charCodeAt(position);
    if (code === 0x22 || code === 0x5c) return position;
  }
  return -1;
}

function fault(offset: number, expected: string): KilnError {
  return new KilnError('invalid-input', `This is not a valid derivation: ${expected} is expected`, {
    where: `character ${offset}`,
    fields: { offset },
  });
}
