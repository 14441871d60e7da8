/** Values on their way into a `jsonb` column. */

/** JSON text that PostgreSQL takes: it refuses U+0000 and lone surrogates, which tools do print; they become U+FFFD. */
export function toJsonb(value: unknown): string {
  return JSON.stringify(value ?? null, (_key, field: unknown) =>
    typeof field === 'string' ? cleanText(field) : field,
  );
}

/** The same for `text` columns. */
export function cleanText(text: string): string {
  return text.toWellFormed().replaceAll('\0', '\ufffd');
}
