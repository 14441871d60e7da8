/** Decides how a folder is built: by its settings, its Nix files, or the template that recognises it. */
import { KilnError } from '../base/error.ts';
import type { AppSettings } from '../config/app-settings.ts';
import { readContainerHints } from './recognise/container-hints.ts';
import { allTemplates, findTemplate } from './templates/list-templates.ts';
import type { Template, TemplatePlan, TemplateRequest } from './templates/template.ts';
import { APP_SETTINGS_FILE, mergeAppSettings, readAppSettings } from './read-app-settings.ts';
import type { SourceContext } from './source-context.ts';
import type { TreeReader } from './tree/tree-reader.ts';

export type FolderPlan =
  | { readonly by: 'nix-file'; readonly file: string; readonly why: string; readonly settings: AppSettings }
  | { readonly by: 'flake'; readonly why: string; readonly settings: AppSettings }
  | {
      readonly by: 'template';
      readonly template: string;
      readonly why: string;
      readonly plan: TemplatePlan;
      readonly settings: AppSettings;
    };

export interface FolderRequest {
  readonly tree: TreeReader;
  /** Whose name the result gets where the folder does not name itself. */
  readonly fallbackName: string;
  readonly environmentVars: Readonly<Record<string, string>>;
  /** The folder has to be built by this template. */
  readonly template?: string;
  readonly context: SourceContext;
}

/** @throws KilnError source-unrecognised listing what was looked for; invalid-config; whatever the template throws */
export async function planFolder(request: FolderRequest): Promise<FolderPlan> {
  const { tree } = request;
  const settings = await readAppSettings(tree);
  const { file, template } = settings.build ?? {};
  if (request.template === undefined && file !== undefined) return nixFile(tree, file, settings);
  const named = request.template ?? template;
  if (named !== undefined) {
    const why = request.template === undefined ? `${APP_SETTINGS_FILE} names it` : 'it was asked for';
    return planTemplate(findTemplate(named), why, settings, request);
  }
  if (tree.has('flake.nix') && (await isForFlake(tree)))
    return { by: 'flake', why: 'flake.nix, which default.nix is made for', settings };
  if (tree.has('default.nix')) return { by: 'nix-file', file: 'default.nix', why: 'default.nix', settings };
  if (tree.has('flake.nix')) return { by: 'flake', why: 'flake.nix', settings };
  for (const candidate of allTemplates()) {
    const why = await candidate.recognise(tree);
    if (why !== undefined) return planTemplate(candidate, why, settings, request);
  }
  throw unrecognised(tree);
}

/**
 * Whether default.nix leads to the flake: a function that cannot be called without arguments (`{ stdenv, fetchurl }: …`),
 * or the usual few lines that read flake.nix, which download a helper.
 */
async function isForFlake(tree: TreeReader): Promise<boolean> {
  const text = ((await tree.read('default.nix')) ?? '')
    .replace(/\/\*[\s\S]*?\*\//g, ' ')
    .replace(/^\s*#.*$/gm, '')
    .trimStart();
  if (/\bflake-compat\b/.test(text)) return true;
  return /^(?:\w+\s*@\s*)?\{\s*[\w'-]+(?:\s*,\s*(?:[\w'-]+|\.\.\.))*\s*,?\s*\}\s*(?:@\s*\w+\s*)?:/.test(text);
}

function nixFile(tree: TreeReader, file: string, settings: AppSettings): FolderPlan {
  const name = file.replace(/^\.\//, '');
  if (tree.has(name))
    return { by: 'nix-file', file: name, why: `${APP_SETTINGS_FILE} names ${name}`, settings };
  const present = tree.paths.filter((path) => path.endsWith('.nix')).slice(0, 8);
  throw new KilnError('invalid-config', `${APP_SETTINGS_FILE} names a Nix file that is not there`, {
    where: `${APP_SETTINGS_FILE}: build.file = ${JSON.stringify(file)}`,
    hint:
      present.length === 0
        ? 'The folder has no Nix file. Remove build.file to use a template.'
        : `There are ${present.join(', ')}.`,
  });
}

async function planTemplate(
  template: Template,
  why: string,
  settings: AppSettings,
  request: FolderRequest,
): Promise<FolderPlan> {
  const templateRequest: TemplateRequest = {
    tree: request.tree,
    settings,
    hints: await readContainerHints(request.tree),
    environmentVars: { ...settings.image?.env, ...request.environmentVars },
    fallbackName: settings.image?.name?.replace(/^.*\//, '') ?? request.fallbackName,
    context: request.context,
  };
  const plan = await template.plan(templateRequest);
  return {
    by: 'template',
    template: template.name,
    why,
    plan,
    settings: mergeAppSettings(plan.settings, settings),
  };
}

function unrecognised(tree: TreeReader): KilnError {
  const lookedFor = [
    `${APP_SETTINGS_FILE} (build.file, build.template)`,
    'default.nix',
    'flake.nix',
    'package.json (Node.js)',
    'pyproject.toml, requirements.txt, Pipfile.lock, setup.py, main.py, app.py (Python)',
    'go.mod (Go)',
    'index.html (static site)',
  ];
  const present = [...new Set(tree.paths.map((name) => name.replace(/\/.*$/, '/')))].slice(0, 12);
  const shell = tree.has('shell.nix');
  return new KilnError(
    'source-unrecognised',
    shell
      ? 'The folder has only a shell.nix, which describes a shell and builds nothing'
      : 'Nothing in the folder tells how to build it',
    {
      where: `looked for: ${lookedFor.join('; ')}\nfound: ${present.length === 0 ? 'no files' : present.join(', ')}`,
      hint: 'Add a default.nix, name the folder of the application, or write `template = "…"` below [build] in kiln.toml (`kiln templates` lists them).',
      fields: { lookedFor, found: present },
    },
  );
}
