/** The port of a program that does not ask for one. */
import type { TreeReader } from '../tree/tree-reader.ts';

const LITERAL = /\.listen\(\s*(?:\{\s*port:\s*)?(\d{2,5})\b/;
const NAMED = /\.listen\(\s*(?:\{\s*port:\s*)?([A-Za-z_$][\w$]*)\s*[,)}]/;
const ASKS = /process\.env(?:\.|\[['"])\w*PORT|env\.PORT|config\b/;

/** Where the file that the start line names says `listen(3001)`, and nothing in it reads a variable. */
export async function fixedPort(
  tree: TreeReader,
  start: string,
  main: string | undefined,
): Promise<number | undefined> {
  const named = /\bnode\s+(?:-[\w-]+(?:=\S+)?\s+)*([^\s-][^\s;&|]*)/.exec(start)?.[1] ?? main;
  if (named === undefined) return undefined;
  const file = named === '.' ? (main ?? 'index.js') : named.replace(/^\.\//, '');
  const candidates = [file, `${file}.js`, `${file}/index.js`].filter((name) => tree.has(name));
  const text = candidates[0] === undefined ? '' : ((await tree.read(candidates[0])) ?? '');
  if (ASKS.test(text)) return undefined;
  const variable = NAMED.exec(text)?.[1];
  const assigned =
    variable === undefined
      ? undefined
      : new RegExp(`\\b(?:const|let|var)\\s+${variable.replaceAll('$', '\\$')}\\s*=\\s*(\\d{2,5})\\b`).exec(
          text,
        )?.[1];
  const port = Number(LITERAL.exec(text)?.[1] ?? assigned);
  return port >= 1 && port <= 65_535 ? port : undefined;
}
