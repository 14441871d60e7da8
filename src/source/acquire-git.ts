/** A Git repository as a source. A commit that was read before is neither cloned nor hashed again. */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readFile, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { replaceFile } from '../blobs/replace-file.ts';
import { KilnError } from '../base/error.ts';
import type { AcquiredSource } from './acquired-source.ts';
import type { SourceContext } from './source-context.ts';
import type { CommitInfo, SourceSpec } from './source.ts';
import { loadSourceTree, readSourceTree, type SourceTree } from './tree/source-tree.ts';

type GitSpec = Extract<SourceSpec, { kind: 'git' }>;
type Place = Pick<AcquiredSource, 'type' | 'tree' | 'base' | 'name' | 'commit' | 'branch'>;

const recordSchema = z.object({
  hash: z.string(),
  base: z.string(),
  commit: z.object({
    sha: z.string(),
    message: z.string(),
    author: z.string(),
    authorEmail: z.string(),
    date: z.string(),
  }),
});

/** @throws KilnError git-*, not-found (the subdirectory) */
export async function acquireGit(spec: GitSpec, context: SourceContext): Promise<Place> {
  const subdirectory = checkSubdirectory(spec.subdirectory);
  const credentials = context.credentials ?? {};
  const shared = { credentials, ...(context.signal === undefined ? {} : { signal: context.signal }) };
  const wanted = spec.ref === undefined ? {} : { ref: spec.ref };
  const { sha, branch } = await context.git.resolveRef(spec.url, { ...wanted, ...shared });
  const name = path.posix.basename(
    subdirectory === ''
      ? spec.url
          .replace(/\/+$/, '')
          .replace(/\.git$/, '')
          .replace(/^.*:/, '')
      : subdirectory,
  );
  const record = path.join(
    context.workspace,
    'commits',
    `${recordKey(spec, sha, subdirectory, context)}.json`,
  );
  const known = await recall(record, context.workspace);
  if (known !== undefined) {
    context.onProgress?.(`commit ${sha.slice(0, 12)} is known: nothing to clone`);
    return { type: 'tree', name, ...known, ...(branch === undefined ? {} : { branch }) };
  }
  const work = path.join(context.workspace, 'incoming', randomUUID());
  const checkout = path.join(work, 'checkout');
  await mkdir(work, { recursive: true });
  try {
    const commit = await context.git.checkOut(spec.url, checkout, {
      sha,
      ...wanted,
      submodules: spec.submodules ?? false,
      ...(spec.shallow === undefined ? {} : { shallow: spec.shallow }),
      ...(spec.depth === undefined ? {} : { depth: spec.depth }),
      ...shared,
      ...(context.onProgress === undefined ? {} : { onProgress: context.onProgress }),
    });
    const { tree, base } = await readCheckout(checkout, subdirectory, context);
    // The branch may have moved between the two questions: then this is another commit, and not what the record is for.
    if (commit.sha === sha) await remember(record, { hash: tree.hash, base, commit });
    return { type: 'tree', name, tree, base, commit, ...(branch === undefined ? {} : { branch }) };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function readCheckout(
  checkout: string,
  subdirectory: string,
  context: SourceContext,
): Promise<{ tree: SourceTree; base: string }> {
  const options = {
    workspace: context.workspace,
    ...(context.signal === undefined ? {} : { signal: context.signal }),
  };
  const folder = path.join(checkout, subdirectory);
  const info = await stat(folder).catch(() => undefined);
  if (info === undefined || !info.isDirectory()) {
    throw new KilnError('not-found', 'The repository has no such folder at that commit', {
      where: subdirectory,
      hint: 'Check the subdirectory, its capitals, and the branch.',
    });
  }
  const tree = await readSourceTree(folder, options);
  if (subdirectory === '' || !tree.escapes) return { tree, base: '' };
  return { tree: await readSourceTree(checkout, options), base: subdirectory };
}

/**
 * The URL and the credentials are part of the key: a server can name any commit as its own, and must not get at what was
 * cloned from somewhere else.
 */
function recordKey(spec: GitSpec, sha: string, subdirectory: string, context: SourceContext): string {
  const secrets = [
    context.credentials?.accessToken?.reveal() ?? '',
    context.credentials?.sshKey?.reveal() ?? '',
  ];
  const parts = [spec.url, sha, subdirectory, spec.submodules === true, ...secrets];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

async function recall(
  record: string,
  workspace: string,
): Promise<{ tree: SourceTree; base: string; commit: CommitInfo } | undefined> {
  try {
    const { hash, base, commit } = recordSchema.parse(JSON.parse(await readFile(record, 'utf8')));
    const tree = await loadSourceTree(workspace, hash);
    return tree === undefined ? undefined : { tree, base, commit };
  } catch {
    return undefined;
  }
}

async function remember(record: string, value: z.infer<typeof recordSchema>): Promise<void> {
  await replaceFile(record, JSON.stringify(value), { folderMode: 0o700 });
}

function checkSubdirectory(text: string | undefined): string {
  const clean = path.posix
    .normalize(text ?? '')
    .replace(/\/+$/, '')
    .replace(/^\.$/, '');
  if (
    !path.posix.isAbsolute(clean) &&
    !/^\.\.(\/|$)/.test(clean) &&
    !/[\0\\]/.test(clean) &&
    !clean.split('/').includes('.git')
  )
    return clean;
  throw new KilnError('invalid-input', `${JSON.stringify(text)} is not a folder of the repository`, {
    hint: 'Give a path relative to the top of the repository, without "..".',
  });
}
