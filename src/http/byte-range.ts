/** Single byte ranges of requests (RFC 9110 section 14). */
import type { ByteSpan } from '../base/byte-span.ts';
import { KilnError } from '../base/error.ts';

/**
 * The span that a `Range` header asks for, out of `size` bytes. Undefined: send everything. That is also the answer to other
 * units, several ranges and malformed headers, which a server may ignore.
 * @throws KilnError range-not-satisfiable
 */
export function parseByteRange(header: string | undefined, size: number): ByteSpan | undefined {
  const match = /^bytes=[ \t]*(\d{0,15})-(\d{0,15})[ \t]*$/i.exec(header ?? '');
  if (match === null) return undefined;
  const [, first = '', last = ''] = match;
  if (first === '' && last === '') return undefined;
  if (first === '') {
    const length = Math.min(Number(last), size);
    if (length === 0) throw notSatisfiable(size);
    return { start: size - length, end: size };
  }
  const start = Number(first);
  if (last !== '' && Number(last) < start) throw notSatisfiable(size);
  if (start >= size) throw notSatisfiable(size);
  return { start, end: last === '' ? size : Math.min(Number(last) + 1, size) };
}

/** `bytes 0-99/1000`. */
export function formatContentRange(span: ByteSpan, size: number): string {
  return `bytes ${span.start}-${span.end - 1}/${size}`;
}

function notSatisfiable(size: number): KilnError {
  return new KilnError(
    'range-not-satisfiable',
    `The range lies outside of the ${size} bytes that there are`,
    {
      fields: { contentRange: `bytes */${size}` },
    },
  );
}
