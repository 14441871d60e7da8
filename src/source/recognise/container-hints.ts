/** What a Procfile or a Dockerfile tells about starting an application. Nothing of them is executed. */
import type { TreeReader } from '../tree/tree-reader.ts';

export interface ContainerHints {
  /** A shell line. */
  readonly start?: string;
  readonly port?: number;
  /** Where the start line comes from. */
  readonly from?: 'Procfile' | 'Dockerfile';
}

export async function readContainerHints(tree: TreeReader): Promise<ContainerHints> {
  const procfile = parseProcfile((await tree.read('Procfile')) ?? '');
  const dockerfile = parseDockerfile((await tree.read('Dockerfile')) ?? '');
  const start = procfile ?? dockerfile.start;
  return {
    ...(start === undefined ? {} : { start, from: procfile === undefined ? 'Dockerfile' : 'Procfile' }),
    ...(dockerfile.port === undefined ? {} : { port: dockerfile.port }),
  };
}

/** The `web` process, or the only one. */
export function parseProcfile(text: string): string | undefined {
  const lines = text.split('\n').map((line) => /^([\w-]+):\s*(\S.*)$/.exec(line.trim()));
  const processes = lines.flatMap((match) =>
    match === null ? [] : [{ name: match[1], command: match[2]?.trim() }],
  );
  const web =
    processes.find((entry) => entry.name === 'web') ?? (processes.length === 1 ? processes[0] : undefined);
  return web?.command;
}

/** `EXPOSE` and `CMD`/`ENTRYPOINT` of the last stage. */
export function parseDockerfile(text: string): ContainerHints {
  let port: number | undefined;
  let command = '';
  let entrypoint = '';
  let folder = '';
  for (const line of text.replace(/\\\r?\n/g, ' ').split('\n')) {
    const match = /^\s*([A-Za-z]+)\s+(\S.*)$/.exec(line);
    const rest = match?.[2]?.trim() ?? '';
    switch (match?.[1]?.toUpperCase()) {
      case 'FROM':
        [port, command, entrypoint, folder] = [undefined, '', '', ''];
        break;
      case 'WORKDIR':
        folder = rest.replace(/^["']|["']$/g, '').replace(/\/+$/, '');
        break;
      case 'EXPOSE':
        port ??= portOf(rest);
        break;
      case 'CMD':
        command = shellLine(rest);
        break;
      case 'ENTRYPOINT':
        entrypoint = shellLine(rest);
        break;
      default:
    }
  }
  const line = `${entrypoint} ${command}`.trim();
  // The application is elsewhere here: paths below its folder become relative ones.
  const start = folder.length < 2 ? line : line.split(`${folder}/`).join('./');
  return { ...(start === '' ? {} : { start }), ...(port === undefined ? {} : { port }) };
}

function portOf(text: string): number | undefined {
  const port = Number(/^(\d{1,5})(\/tcp)?(\s|$)/.exec(text)?.[1]);
  return port >= 1 && port <= 65_535 ? port : undefined;
}

function shellLine(text: string): string {
  if (!text.startsWith('[')) return text;
  try {
    const words: unknown = JSON.parse(text);
    if (!Array.isArray(words) || !words.every((word) => typeof word === 'string')) return '';
    return words
      .map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`))
      .join(' ');
  } catch {
    return '';
  }
}
