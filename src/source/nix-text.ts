/** Writes values as Nix source text. */

/** A double-quoted string; nothing in `value` is interpolated. */
export function nixString(value: string): string {
  const escaped = value
    .replace(/["\\]/g, '\\$&')
    .replace(/\$\{/g, '\\${')
    .replace(/\n/g, '\\n')
    .replace(/\r/g, '\\r')
    .replace(/\t/g, '\\t');
  return `"${escaped}"`;
}

/** An indented string, each line `indent` deep; nothing in `value` is interpolated. */
export function nixLines(value: string, indent: string): string {
  const escaped = value.replace(/''/g, "'''").replace(/\$\{/g, "''${");
  const lines = escaped.replace(/\n$/, '').split('\n');
  return `''\n${lines.map((line) => (line === '' ? '' : `${indent}  ${line}`)).join('\n')}\n${indent}''`;
}

/** One word for a shell. */
export function shellWord(value: string): string {
  return /^[\w@%+=:,./-]+$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`;
}

/** A name that Nix accepts in a store path, made from any text; `fallback` where nothing is left. */
export function storeName(text: string, fallback: string): string {
  const name = text
    .replace(/^@[^/]*\//, '')
    .replace(/[^A-Za-z0-9+._?=-]+/g, '-')
    .replace(/^[.-]+|[.-]+$/g, '')
    .slice(0, 100);
  return name === '' ? fallback : name;
}
