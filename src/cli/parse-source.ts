/** Reads the SOURCE argument of `kiln build`. */
import { access, constants, readFile, stat } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { KilnError, systemErrorCode } from '../base/error.ts';
import type { SourceSpec } from '../source/source.ts';

export interface SourceFlags {
  readonly ref?: string;
  readonly subdir?: string;
  readonly submodules?: boolean;
  readonly fullClone?: boolean;
}

/** `git@host:path` as Git writes it. */
const SCP_LIKE = /^[A-Za-z0-9_.-]+@[A-Za-z0-9.-]+:(?!\/\/)/;
const FLAKE = /^(github|gitlab|sourcehut|path|flake|git\+[a-z]+|tarball|indirect):/;

/** @throws KilnError usage, with the forms that there are */
export async function parseSource(
  text: string,
  flags: SourceFlags,
  cwd: string,
  readStdin: () => Promise<string>,
): Promise<SourceSpec> {
  if (text === '-') return { kind: 'expression', expression: await readStdin() };
  if (text.startsWith('template:')) return { kind: 'template', template: text.slice('template:'.length) };
  if (FLAKE.test(text)) return { kind: 'flake', reference: text };
  if (/^(https?|ssh|git|file):\/\//.test(text) || SCP_LIKE.test(text)) return gitSource(text, flags);
  const [path, fragment] = splitFragment(text);
  const absolute = resolve(cwd, path);
  const status = await stat(absolute).catch((error: unknown) => {
    if (systemErrorCode(error) === 'EACCES') throw unreadable(absolute, error);
    return undefined;
  });
  if (status !== undefined) await checkReadable(absolute, status.isDirectory());
  if (status?.isDirectory()) {
    return fragment === undefined
      ? { kind: 'directory', path: flags.subdir === undefined ? absolute : join(absolute, flags.subdir) }
      : { kind: 'flake', reference: `${absolute}#${fragment}` };
  }
  if (status?.isFile() && absolute.endsWith('.nix')) return { kind: 'file', path: absolute };
  if (status?.isFile()) {
    throw new KilnError('usage', `${basename(absolute)} is a file, but not a Nix expression`, {
      where: absolute,
      hint: `Give a .nix file, a folder, or pass an expression on stdin: kiln build - < ${text}`,
    });
  }
  throw new KilnError('usage', `there is no file or folder ${text}, and it is no address`, {
    where: absolute,
    hint: 'SOURCE is one of: FILE.nix, a folder, a Git URL (https://…, ssh://…, git@host:path), a flake (github:owner/repo#attr, .#attr), template:NAME, or - for stdin.',
  });
}

async function checkReadable(path: string, folder: boolean): Promise<void> {
  await access(path, folder ? constants.R_OK | constants.X_OK : constants.R_OK).catch((error: unknown) => {
    throw unreadable(path, error);
  });
}

function unreadable(path: string, cause: unknown): KilnError {
  return new KilnError('usage', 'the source cannot be read', {
    where: path,
    hint: `Give the user ${userInfo().username} access to it (chmod, chown), or start Kiln as a user who has it.`,
    cause,
  });
}

export async function readExtraFiles(pairs: readonly string[], cwd: string): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const pair of pairs) {
    const [name = '', path = name] = pair.split('=', 2);
    files[name] = await readFile(resolve(cwd, path), 'utf8').catch((cause: unknown) => {
      throw new KilnError('usage', `the extra file ${path} cannot be read`, {
        cause,
        hint: 'Write --file NAME=PATH.',
      });
    });
  }
  return files;
}

function gitSource(text: string, flags: SourceFlags): SourceSpec {
  const [address = '', query] = text.split('?', 2);
  const parameters = new URLSearchParams(query ?? '');
  const ref = flags.ref ?? parameters.get('rev') ?? parameters.get('ref') ?? undefined;
  const subdirectory = flags.subdir ?? parameters.get('dir') ?? undefined;
  const unknown = [...parameters.keys()].filter((key) => !['ref', 'rev', 'dir', 'submodules'].includes(key));
  if (unknown.length > 0) {
    throw new KilnError('usage', `${unknown.join(', ')}: unknown in a Git address`, {
      hint: 'Known are ?ref=BRANCH-OR-TAG, ?rev=COMMIT, ?dir=FOLDER and ?submodules=1.',
    });
  }
  return {
    kind: 'git',
    url: address,
    ...(ref === undefined ? {} : { ref }),
    ...(subdirectory === undefined ? {} : { subdirectory }),
    ...(flags.submodules === true || parameters.get('submodules') === '1' ? { submodules: true } : {}),
    ...(flags.fullClone === true ? { shallow: false } : {}),
  };
}

function splitFragment(text: string): [string, string | undefined] {
  const hash = text.indexOf('#');
  return hash < 0 ? [text, undefined] : [text.slice(0, hash) || '.', text.slice(hash + 1)];
}
