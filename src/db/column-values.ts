/** How column values look in JavaScript, the same for PostgreSQL and its embedded twin. */

/** Object identifiers of the built-in types whose default parsers differ between the two drivers (pg_type.dat). */
export const TYPE = { bytea: 17, int8: 20, numeric: 1700 } as const;

/** A `bigint` as a number. Beyond 2^53 it would silently be another number, so that is a bug to be told. */
export function parseBigint(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`bigint ${text} does not fit a number`);
  return value;
}

/** Sums and averages: the precision of a double is enough for what Kiln counts. */
export function parseNumeric(text: string): number {
  return Number(text);
}

/** `bytea` in its hex form. */
export function parseBytea(text: string): Buffer {
  return Buffer.from(text.slice(2), 'hex');
}
