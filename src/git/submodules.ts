/** Fetches submodules. git would do it by itself, but without the checks that every address has to pass. */
import { lstat, readdir, realpath, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { KilnError, isKilnError } from '../base/error.ts';
import { keepsCredentials } from './follow-redirect.ts';
import { runLocalGit, type GitAccess } from './git-session.ts';
import { parseGitUrl, type GitUrl } from './git-url.ts';

interface Submodule {
  readonly path: string;
  readonly commit: string;
  readonly address: string;
}

export interface SubmodulesResult {
  /** Checkouts made, absolute. */
  readonly folders: readonly string[];
  readonly warnings: readonly string[];
}

/** Clones `url` at `commit` into `folder`, without its submodules; gives its address after redirects. */
export type CloneOne = (
  url: GitUrl,
  folder: string,
  commit: string,
  access: GitAccess,
) => Promise<{ readonly url: string; readonly warnings: readonly string[] }>;

const MAX_DEPTH = 8;
const MAX_SUBMODULES = 200;

/** Clones the submodules of the checkout in `root`, and theirs. Credentials go only to the host that they were given for. */
export async function cloneSubmodules(
  parent: GitUrl,
  root: string,
  access: GitAccess,
  clone: CloneOne,
  level = 0,
): Promise<SubmodulesResult> {
  const submodules = await readSubmodules(root, access.signal);
  if (submodules.length > MAX_SUBMODULES || (submodules.length > 0 && level >= MAX_DEPTH)) {
    throw new KilnError(
      'git-failed',
      `The repository has more than ${MAX_SUBMODULES} submodules, or nests them more than ${MAX_DEPTH} deep`,
      {
        where: parent.href,
      },
    );
  }
  const folders: string[] = [];
  const warnings: string[] = [];
  for (const submodule of submodules) {
    try {
      const url = resolveAddress(parent, submodule.address, access);
      const folder = await submoduleFolder(root, submodule.path);
      const own = { ...access, credentials: keepsCredentials(parent, url) ? access.credentials : {} };
      const result = await clone(url, folder, submodule.commit, own);
      const inner = await cloneSubmodules(
        parseGitUrl(result.url, { allowLocal: true }),
        folder,
        own,
        clone,
        level + 1,
      );
      folders.push(folder, ...inner.folders);
      warnings.push(
        ...[...result.warnings, ...inner.warnings].map((warning) => `${submodule.path}: ${warning}`),
      );
    } catch (error) {
      throw inSubmodule(error, submodule.path);
    }
  }
  return { folders, warnings };
}

/** The gitlinks of HEAD with the addresses that the committed `.gitmodules` gives (never the file in the work tree, which may be a link). */
async function readSubmodules(root: string, signal?: AbortSignal): Promise<Submodule[]> {
  const tree = (await runLocalGit(['ls-tree', '-r', '-z', '--full-tree', 'HEAD'], { cwd: root, signal }))
    .stdout;
  const links = tree.split('\0').flatMap((entry) => {
    const match = /^160000 commit ([0-9a-f]{40,64})\t([^]+)$/.exec(entry);
    return match === null ? [] : [{ commit: match[1] ?? '', path: match[2] ?? '' }];
  });
  if (links.length === 0) return [];
  const settings = await readModuleSettings(root, signal);
  return links.map(({ commit, path }) => {
    const name = [...settings]
      .find(([key, value]) => key.endsWith('.path') && value === path)?.[0]
      .slice(0, -'.path'.length);
    const address = name === undefined ? undefined : settings.get(`${name}.url`);
    if (address === undefined) {
      throw new KilnError('git-failed', `The submodule "${path}" has no address in .gitmodules`, {
        hint: 'Add it with `git submodule add ADDRESS PATH`, or build without submodules.',
      });
    }
    return { path, commit, address };
  });
}

async function readModuleSettings(root: string, signal?: AbortSignal): Promise<Map<string, string>> {
  try {
    const { stdout } = await runLocalGit(
      ['config', '--blob', 'HEAD:.gitmodules', '-z', '--get-regexp', '^submodule\\..*\\.(path|url)$'],
      {
        cwd: root,
        signal,
      },
    );
    return new Map(
      stdout.split('\0').flatMap((entry) => {
        const newline = entry.indexOf('\n');
        return newline < 0 ? [] : [[entry.slice(0, newline), entry.slice(newline + 1)] as const];
      }),
    );
  } catch (error) {
    if (isKilnError(error) && error.code === 'cancelled') throw error;
    return new Map();
  }
}

/** Relative addresses (`../other.git`) are relative to the parent's address, as in `git submodule`. */
function resolveAddress(parent: GitUrl, address: string, access: GitAccess): GitUrl {
  const allowLocal = access.policy?.allowLocal;
  if (!/^\.\.?\//.test(address)) return parseGitUrl(address, { allowLocal });
  const parts = parent.path.split('/');
  const rest = address.split('/');
  while (rest[0] === '..' || rest[0] === '.') if (rest.shift() === '..') parts.pop();
  const path = [...parts, ...rest].join('/');
  const prefix =
    parent.scheme === 'file' ? '' : parent.href.slice(0, parent.href.length - parent.path.length);
  return parseGitUrl(`${prefix}${path}`, { allowLocal });
}

/** The folder to clone into: where git left an empty one, without symbolic links on the way. */
async function submoduleFolder(root: string, path: string): Promise<string> {
  const folder = join(root, path);
  const real = await realpath(root);
  const parent = await realpath(dirname(folder)).catch(() => undefined);
  const entry = await lstat(folder).catch(() => undefined);
  if (parent !== dirname(join(real, path)) || (entry !== undefined && !entry.isDirectory())) {
    throw new KilnError('git-failed', 'it lies behind a symbolic link', { where: path });
  }
  if (entry !== undefined && (await readdir(folder)).length === 0) await rm(folder, { recursive: true });
  return folder;
}

function inSubmodule(error: unknown, path: string): unknown {
  if (!isKilnError(error)) return error;
  return new KilnError(error.code, `Submodule "${path}": ${error.message}`, {
    where: error.where,
    hint: error.hint,
    fields: { ...error.fields, submodule: path },
    cause: error,
  });
}
