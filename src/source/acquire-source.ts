/** Brings a source's files to this machine: one function per kind. */
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { KilnError } from '../base/error.ts';
import { acquireGit } from './acquire-git.ts';
import type { AcquiredSource, RemoteFlake } from './acquired-source.ts';
import { parseFlakeReference } from './flake-reference.ts';
import type { AppSettings } from '../config/app-settings.ts';
import { APP_SETTINGS_FILE, parseAppSettings } from './read-app-settings.ts';
import type { SourceContext } from './source-context.ts';
import type { BuildOptions, SourceSpec } from './source.ts';
import { findTemplate } from './templates/list-templates.ts';
import { gitTopLevel, listFiles } from './tree/list-files.ts';
import { relativePaths } from './tree/nix-facts.ts';
import { readSourceTree, type SourceTree } from './tree/source-tree.ts';

const EXPRESSION_FILE = 'default.nix';
const MAX_EXTRA_FILES = 10_000;

/** @throws KilnError forbidden, not-found, invalid-input, too-large, git-* */
export async function acquireSource(
  spec: SourceSpec,
  options: BuildOptions,
  context: SourceContext,
): Promise<AcquiredSource | RemoteFlake> {
  const environmentVars = options.environmentVars ?? {};
  switch (spec.kind) {
    case 'expression':
      return acquireText({ ...spec.files, [EXPRESSION_FILE]: spec.expression }, context, {
        file: EXPRESSION_FILE,
        environmentVars,
        name: 'expression',
      });
    case 'store-path':
      throw new KilnError('invalid-input', `${spec.path} is a result already and has no source`, {
        hint: 'Its image is made without one.',
      });
    case 'template':
      return acquireTemplate(spec, environmentVars, context);
    case 'file':
      return acquireFile(await localPath(spec.path, context), environmentVars, context);
    case 'directory':
      return {
        ...(await acquireDirectory(await localPath(spec.path, context), context)),
        environmentVars,
        settings: {},
      };
    case 'git':
      return { ...(await acquireGit(spec, context)), environmentVars, settings: {} };
    case 'flake': {
      const flake = parseFlakeReference(spec.reference);
      const attr = flake.attr === undefined ? {} : { attr: flake.attr };
      if (flake.directory === undefined) return { type: 'remote-flake', reference: flake.reference, ...attr };
      const acquired = await acquireDirectory(await localPath(flake.directory, context), context);
      if (
        !acquired.tree.entries.some((entry) => entry.path === path.posix.join(acquired.base, 'flake.nix'))
      ) {
        throw new KilnError('not-found', 'There is no flake.nix in that folder', {
          where: flake.directory,
          hint: 'If it is new, `git add flake.nix`; or build the folder without the flake reference.',
        });
      }
      const settings = await readSettingsIn(path.join(acquired.tree.directory, acquired.base));
      return { ...acquired, ...attr, asFlake: true, environmentVars, settings };
    }
  }
}

type Place = Pick<AcquiredSource, 'type' | 'tree' | 'base' | 'name'>;

async function acquireDirectory(directory: string, context: SourceContext): Promise<Place> {
  if (!(await stat(directory)).isDirectory()) {
    throw new KilnError('invalid-input', `${directory} is a file, not a folder`, {
      hint: 'Only files that end in .nix can be built by themselves.',
    });
  }
  const options = {
    workspace: context.workspace,
    ...(context.signal === undefined ? {} : { signal: context.signal }),
  };
  const name = path.basename(directory);
  const tree = await readSourceTree(directory, options);
  sayWhatIsMissing(tree, context);
  const top = tree.escapes ? await gitTopLevel(directory, context.signal) : undefined;
  if (top === undefined || top === directory) return { type: 'tree', tree, base: '', name };
  context.onProgress?.(
    `some file refers to a folder above: the whole repository ${path.basename(top)} is the source`,
  );
  return {
    type: 'tree',
    tree: await readSourceTree(top, options),
    base: path.relative(top, directory),
    name,
  };
}

async function acquireFile(
  file: string,
  environmentVars: Readonly<Record<string, string>>,
  context: SourceContext,
): Promise<AcquiredSource> {
  if (!file.endsWith('.nix')) {
    throw new KilnError('invalid-input', `${file} is not a Nix file`, {
      hint: 'Name a file that ends in .nix, or a folder.',
    });
  }
  const directory = path.dirname(file);
  const text = await readFile(file, 'utf8');
  const shared = { file: path.basename(file), environmentVars, name: path.basename(file, '.nix') };
  const settings = await readSettingsIn(directory);
  if (relativePaths(text).length === 0) {
    const tree = await readSourceTree(directory, {
      workspace: context.workspace,
      only: [path.basename(file)],
    });
    return { type: 'tree', tree, base: '', ...shared, settings };
  }
  const listed = await listFiles(directory, context.signal);
  if (!listed.paths.includes(path.basename(file))) {
    throw new KilnError('invalid-input', `Git ignores ${file}, so it is no part of its folder`, {
      hint: 'Remove it from .gitignore, or move it elsewhere.',
    });
  }
  return { ...(await acquireDirectory(directory, context)), ...shared, settings };
}

/** The `kiln.toml` of a folder that is built by a file or attribute named in the request. */
async function readSettingsIn(directory: string): Promise<AppSettings> {
  const text = await readFile(path.join(directory, APP_SETTINGS_FILE), 'utf8').catch(() => undefined);
  return text === undefined ? {} : parseAppSettings(text);
}

async function acquireTemplate(
  spec: Extract<SourceSpec, { kind: 'template' }>,
  environmentVars: Readonly<Record<string, string>>,
  context: SourceContext,
): Promise<AcquiredSource> {
  const template = findTemplate(spec.template);
  const { environmentVars: custom, files, ...others } = spec.customizations ?? {};
  for (const name of Object.keys(others))
    context.onProgress?.(`warning: templates have no customization ${JSON.stringify(name)}`);
  return acquireText({ ...template.starter, ...files }, context, {
    template: template.name,
    environmentVars: { ...environmentVars, ...custom },
    name: `hello-${template.name}`,
  });
}

async function acquireText(
  files: Readonly<Record<string, string>>,
  context: SourceContext,
  rest: Pick<AcquiredSource, 'environmentVars' | 'name'> & Partial<AcquiredSource>,
): Promise<AcquiredSource> {
  const names = Object.keys(files).map(checkName);
  if (names.length > MAX_EXTRA_FILES)
    throw new KilnError('too-large', `More than ${MAX_EXTRA_FILES} files beside an expression`);
  const work = path.join(context.workspace, 'incoming', randomUUID());
  try {
    for (const [name, content] of Object.entries(files)) {
      const file = path.join(work, checkName(name));
      await mkdir(path.dirname(file), { recursive: true });
      await writeFile(file, content);
    }
    const tree = await readSourceTree(work, { workspace: context.workspace, only: names });
    const settingsText = files[APP_SETTINGS_FILE];
    const settings = settingsText === undefined ? {} : parseAppSettings(settingsText);
    return { type: 'tree', tree, base: '', settings, ...rest };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** A relative path that stays below its folder, in the one form that lists use. */
function checkName(name: string): string {
  const clean = path.posix.normalize(name);
  const bad =
    name === '' ||
    path.posix.isAbsolute(clean) ||
    /^\.\.?(\/|$)/.test(clean) ||
    /[\0\\]/.test(name) ||
    clean.endsWith('/');
  if (!bad && !clean.split('/').includes('.git')) return clean;
  throw new KilnError(
    'invalid-input',
    `${JSON.stringify(name.slice(0, 200))} is not a path below the expression`,
    {
      hint: 'Use a relative path with / and without "..", e.g. "src/main.js".',
    },
  );
}

async function localPath(text: string, context: SourceContext): Promise<string> {
  if (!context.allowLocal) {
    throw new KilnError(
      'forbidden',
      'Files and folders of this machine are not built for requests from the network',
      {
        hint: 'Give the URL of a Git repository, or the expression itself.',
      },
    );
  }
  try {
    return await realpath(path.resolve(text));
  } catch (error) {
    throw new KilnError('not-found', `There is no ${path.resolve(text)}`, {
      hint: 'Check the path; it is read from the current folder.',
      cause: error,
    });
  }
}

function sayWhatIsMissing(tree: SourceTree, context: SourceContext): void {
  if (tree.skipped.length === 0) return;
  const more = tree.skipped.length > 3 ? ` and ${tree.skipped.length - 3} more` : '';
  context.onProgress?.(
    `left out of the source (secrets, sockets): ${tree.skipped.slice(0, 3).join(', ')}${more}`,
  );
}
