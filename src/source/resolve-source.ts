/** Turns what somebody asks to be built into a source on this machine: files, expression, content key, settings. */
import { createHash, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { replaceFile } from '../blobs/replace-file.ts';
import { KilnError } from '../base/error.ts';
import type { AppSettings } from '../config/app-settings.ts';
import type { Installable } from '../nix/installable.ts';
import { acquireSource } from './acquire-source.ts';
import type { AcquiredSource } from './acquired-source.ts';
import { contentKey } from './content-key.ts';
import { planFolder, type FolderPlan } from './folder-plan.ts';
import { resolveRemoteFlake } from './remote-flake.ts';
import { mergeAppSettings } from './read-app-settings.ts';
import type { SourceContext } from './source-context.ts';
import type { BuildOptions, Source, SourceSpec } from './source.ts';
import { treeReader, type TreeReader } from './tree/tree-reader.ts';

/** A source, and how it came to be built the way it is. */
export interface PlannedSource {
  readonly source: Source;
  /** Undefined for a reference to a remote flake: Nix reads it. */
  readonly plan: FolderPlan | undefined;
  readonly impurities: readonly string[];
}

/**
 * Fetches and reads the source, decides how it is built, and downloads what its lock files name. Nothing of the source is executed.
 * @throws KilnError source-unrecognised, dependency-fetch, invalid-input, invalid-config, forbidden, not-found, git-*
 */
export async function resolveSource(
  spec: SourceSpec,
  options: BuildOptions,
  context: SourceContext,
): Promise<Source> {
  return (await planSource(spec, options, context)).source;
}

/** Like {@link resolveSource}, with the reasons. */
export async function planSource(
  spec: SourceSpec,
  options: BuildOptions,
  context: SourceContext,
): Promise<PlannedSource> {
  context.signal?.throwIfAborted();
  const acquired = await acquireSource(spec, options, context);
  if (acquired.type === 'remote-flake') {
    return { source: await resolveRemoteFlake(acquired, options, context), plan: undefined, impurities: [] };
  }
  const plan = await choosePlan(acquired, options, context);
  const settings = withEnvironment(plan.settings, acquired.environmentVars);
  const impurities = plan.by === 'template' ? [] : await findSalt(acquired, plan);
  if (impurities.length > 0)
    context.onProgress?.(`evaluated every time, because it uses ${impurities.join(', ')}`);
  const attr = options.attr ?? acquired.attr ?? settings.build?.attr;
  const prepared = await prepareInstallable(acquired, plan, attr);
  const packages = options.packages ?? settings.build?.packages ?? 'auto';
  const source: Source = {
    kind: spec.kind,
    directory: path.join(acquired.tree.directory, acquired.base),
    root: path.dirname(acquired.tree.directory),
    installable: prepared.installable,
    ...(prepared.expression === undefined ? {} : { expression: prepared.expression }),
    contentKey: contentKey({
      tree: acquired.tree.hash,
      entry: prepared.entry,
      attr,
      args: { ...prepared.args, ...flakeArguments(prepared.installable, packages) },
      packageSet: await context.nix.packageSetIdentity(packages),
      system: context.nix.system,
      ...(impurities.length === 0 ? {} : { salt: randomUUID() }),
    }),
    ...(acquired.commit === undefined ? {} : { commit: acquired.commit }),
    ...(acquired.branch === undefined ? {} : { branch: acquired.branch }),
    ...(plan.by === 'template' ? { template: plan.template } : {}),
    settings,
    // Trees are shared between builds by content; `pruneTrees` removes old ones.
    [Symbol.asyncDispose]: async () => undefined,
  };
  return { source, plan, impurities };
}

async function choosePlan(
  acquired: AcquiredSource,
  options: BuildOptions,
  context: SourceContext,
): Promise<FolderPlan> {
  const tree = readerOf(acquired);
  if (acquired.file !== undefined) {
    return {
      by: 'nix-file',
      file: acquired.file,
      why: 'the file that was named',
      settings: acquired.settings,
    };
  }
  if (acquired.asFlake) return { by: 'flake', why: 'a flake was asked for', settings: acquired.settings };
  const plan = await planFolder({
    tree,
    fallbackName: acquired.name,
    environmentVars: { ...acquired.environmentVars, ...options.environmentVars },
    ...(acquired.template === undefined ? {} : { template: acquired.template }),
    context,
  });
  if (plan.by === 'template') {
    context.onProgress?.(`template ${plan.template}: ${plan.why}`);
    for (const note of plan.plan.notes) context.onProgress?.(note);
  }
  return plan;
}

interface PreparedInstallable {
  readonly installable: Installable;
  readonly expression?: string;
  /** For the content key: without this machine's folders. */
  readonly entry: string;
  readonly args: Readonly<Record<string, string>>;
}

async function prepareInstallable(
  acquired: AcquiredSource,
  plan: FolderPlan,
  attr: string | undefined,
): Promise<PreparedInstallable> {
  const directory = path.join(acquired.tree.directory, acquired.base);
  const chosen = attr === undefined ? {} : { attr };
  if (plan.by === 'flake') {
    const below = acquired.base === '' ? '' : `?dir=${encodeURI(acquired.base)}`;
    const expression = await readInside(acquired, 'flake.nix');
    const reference = `path:${encodeURI(acquired.tree.directory)}${below}`;
    return {
      installable: { type: 'flake', reference, ...chosen },
      expression,
      entry: `flake ${acquired.base}`,
      args: {},
    };
  }
  if (plan.by === 'nix-file') {
    const file = path.join(directory, plan.file);
    const expression = await readInside(acquired, plan.file);
    const args = askedFor(expression, acquired.environmentVars);
    return {
      installable: { type: 'file', file, ...chosen, args },
      expression,
      entry: `file ${path.posix.join(acquired.base, plan.file)}`,
      args,
    };
  }
  const { expression } = plan.plan;
  const file = await writeExpression(expression, path.dirname(acquired.tree.directory));
  const entry = `template ${acquired.base} ${createHash('sha256').update(expression).digest('hex')}`;
  return {
    installable: { type: 'file', file, ...chosen, args: { src: directory } },
    expression,
    entry,
    args: {},
  };
}

/** A flake's nixpkgs is replaced by the basis only when that is asked for, so the choice itself counts. */
function flakeArguments(installable: Installable, packages: string): Readonly<Record<string, string>> {
  return installable.type === 'flake' && packages === 'basis' ? { 'input nixpkgs': packages } : {};
}

/** A link that leaves the tree is refused: what it names is no part of the source. */
async function readInside(acquired: AcquiredSource, name: string): Promise<string> {
  const text = await readerOf(acquired).read(name);
  if (text !== undefined) return text;
  throw new KilnError('invalid-input', `${name} is not a file inside the source`, {
    hint: 'Replace the link by the file itself.',
  });
}

function readerOf(acquired: AcquiredSource): TreeReader {
  return treeReader(
    acquired.tree.directory,
    acquired.tree.entries.map((entry) => entry.path),
    acquired.base,
  );
}

/** Variables that the expression names. Nix hands each to the argument of that name and ignores it where there is none. */
function askedFor(expression: string, variables: Readonly<Record<string, string>>): Record<string, string> {
  const head = expression.slice(0, 4096);
  return Object.fromEntries(
    Object.entries(variables).filter(
      ([name]) => /^[A-Za-z_][\w'-]*$/.test(name) && new RegExp(`(^|[^\\w'-])${name}([^\\w'-]|$)`).test(head),
    ),
  );
}

async function findSalt(acquired: AcquiredSource, plan: FolderPlan): Promise<readonly string[]> {
  if (plan.by !== 'flake') return acquired.tree.impurities;
  // A flake is evaluated purely; only inputs that no lock pins can change under it.
  const directory = path.join(acquired.tree.directory, acquired.base);
  const locked = await readFile(path.join(directory, 'flake.lock'), 'utf8').catch(() => undefined);
  if (locked !== undefined) return [];
  const text = await readFile(path.join(directory, 'flake.nix'), 'utf8').catch(() => '');
  return /\binputs\b/.test(text) ? ['flake inputs without a flake.lock'] : [];
}

/** Beside the copy of the tree, so that one folder holds all that evaluation may read, and goes when the tree goes. */
async function writeExpression(expression: string, treeFolder: string): Promise<string> {
  const file = path.join(
    treeFolder,
    `template-${createHash('sha256').update(expression).digest('hex').slice(0, 32)}.nix`,
  );
  if ((await readFile(file, 'utf8').catch(() => undefined)) === expression) return file;
  await replaceFile(file, expression);
  return file;
}

function withEnvironment(settings: AppSettings, variables: Readonly<Record<string, string>>): AppSettings {
  return Object.keys(variables).length === 0
    ? settings
    : mergeAppSettings(settings, { ...settings, image: { ...settings.image, env: variables } });
}
