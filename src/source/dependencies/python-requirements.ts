/** Reads requirements files: what to install, without anything that would make pip run or read something else. */
import path from 'node:path';
import { KilnError } from '../../base/error.ts';
import type { TreeReader } from '../tree/tree-reader.ts';

export interface PythonRequirements {
  /** Lines for pip, each with its hashes. */
  readonly lines: readonly string[];
  /** Every requirement has hashes. */
  readonly hashed: boolean;
  /** The application itself is to be installed (`-e .`). */
  readonly includesProject: boolean;
  /** Further indexes that the file names; https only. */
  readonly extraIndexes: readonly string[];
  readonly notes: readonly string[];
}

const MAX_DEPTH = 8;

/** Follows `-r` and `-c` inside the tree. @throws KilnError invalid-input */
export async function readRequirements(tree: TreeReader, file: string): Promise<PythonRequirements> {
  const found = {
    lines: [] as string[],
    notes: [] as string[],
    extraIndexes: [] as string[],
    project: false,
  };
  await collect(tree, file, found, 0);
  return {
    lines: found.lines,
    hashed: found.lines.length > 0 && found.lines.every((line) => line.includes('--hash=')),
    includesProject: found.project,
    extraIndexes: found.extraIndexes,
    notes: found.notes,
  };
}

interface Found {
  lines: string[];
  notes: string[];
  extraIndexes: string[];
  project: boolean;
}

async function collect(tree: TreeReader, file: string, found: Found, depth: number): Promise<void> {
  const text = await tree.read(file);
  if (text === undefined || depth > MAX_DEPTH) {
    throw new KilnError('invalid-input', `The requirements file ${file} is not there`, {
      where: file,
      hint: 'Commit it, or remove the line that names it.',
    });
  }
  for (const line of logicalLines(text)) {
    const included = /^(?:-r|--requirement)[ =]*(\S+)$/.exec(line)?.[1];
    if (included !== undefined)
      await collect(tree, path.posix.join(path.posix.dirname(file), included), found, depth + 1);
    else readLine(line, file, found);
  }
}

/** Without comments, with continued lines joined. */
export function logicalLines(text: string): string[] {
  return text
    .replace(/\\\r?\n/g, ' ')
    .split(/\r?\n/)
    .map((line) => line.replace(/(^|\s)#.*$/, '').trim())
    .filter((line) => line !== '');
}

function readLine(line: string, file: string, found: Found): void {
  const index = /^--extra-index-url[ =]+(https:\/\/\S+)$/.exec(line)?.[1];
  if (index !== undefined) found.extraIndexes.push(index);
  else if (/^(-e|--editable)[ =]+\.(\[[\w,-]+\])?$|^\.(\[[\w,-]+\])?$/.test(line)) found.project = true;
  else if (/^(--require-hashes|--no-binary|--only-binary|--prefer-binary|--pre|--trusted-host)\b/.test(line))
    return;
  else if (/^(-c|--constraint|-i|--index-url|-f|--find-links|--no-index)\b/.test(line))
    found.notes.push(`${file}: ignored ${line.split(/[ =]/)[0] ?? line}`);
  else if (/^[A-Za-z0-9][\w.-]*\s*(\[[^\]]*\])?\s*([<>=!~(;]|--hash=|$)/.test(line))
    found.lines.push(line.replace(/\s+/g, ' '));
  else {
    throw new KilnError('invalid-input', 'A requirement is neither a name nor a version that an index has', {
      where: `${file}: ${line.replace(/\/\/[^/@\s]*@/, '//').slice(0, 200)}`,
      hint: 'Kiln installs released packages: replace paths, URLs and Git repositories by a name and a version.',
    });
  }
}
