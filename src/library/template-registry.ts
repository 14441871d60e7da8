/** Application templates: those that come with Kiln, and those that the program around this library registers. */
import { KilnError } from '../base/error.ts';
import type { SourceSpec } from '../source/source.ts';
import { findTemplate, listTemplates, type TemplateSummary } from '../source/templates/list-templates.ts';
import { closestMatches } from '../base/closest-match.ts';

/** A template of one's own: an expression, or one of Kiln's templates with other files. */
export interface ApplicationTemplate {
  /** Name to build it by: letters, digits, `.`, `_` and `-`, at most 64. */
  readonly id: string;
  readonly title?: string;
  readonly description?: string;
  /** What is built; `./.` is the folder with `files`. Either this or `basedOn`. */
  readonly nixExpression?: string;
  /** One of Kiln's templates (`node`, `python`, `go`, `static-site`), which reads `files`. */
  readonly basedOn?: string;
  /** Relative path → content. With `basedOn` they are added to that template's own, or replace them. */
  readonly files?: Readonly<Record<string, string>>;
  /** For the image, and for arguments of those names of the expression. */
  readonly environmentVars?: Readonly<Record<string, string>>;
}

/** What a single build changes of its template. */
export interface BuildCustomizations {
  /** Added to the template's variables; the same name replaces. */
  readonly environmentVars?: Readonly<Record<string, string>>;
  /** Added to the template's files; the same path replaces. */
  readonly files?: Readonly<Record<string, string>>;
}

export interface ResolvedTemplate {
  readonly source: SourceSpec;
  readonly environmentVars: Readonly<Record<string, string>>;
}

const ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const registered = new Map<string, ApplicationTemplate>();

/** Replaces a registered template of the same id. @throws KilnError invalid-name, invalid-input, not-found, conflict */
export function addTemplate(template: ApplicationTemplate): void {
  const { id, nixExpression, basedOn } = template;
  if (typeof id !== 'string' || !ID.test(id)) {
    throw new KilnError('invalid-name', `${JSON.stringify(String(id).slice(0, 80))} cannot name a template`, {
      hint: 'Use letters, digits, ".", "_" and "-", at most 64, beginning with a letter or digit.',
    });
  }
  if (listTemplates().some(({ name }) => name === id)) {
    throw new KilnError('conflict', `${id} is one of Kiln's own templates`, { hint: 'Choose another id.' });
  }
  if ((nixExpression === undefined) === (basedOn === undefined)) {
    throw new KilnError('invalid-input', `The template ${id} needs either nixExpression or basedOn`, {
      hint: `basedOn is one of ${listTemplates()
        .map(({ name }) => name)
        .join(', ')}.`,
    });
  }
  if (basedOn !== undefined) findTemplate(basedOn);
  registered.set(id, structuredClone(template));
}

/** Kiln's own first, then the registered ones in the order in which they came. */
export function allTemplates(): TemplateSummary[] {
  const own = [...registered.values()].map(({ id, title, description }) => ({
    name: id,
    title: title ?? id,
    description: description ?? '',
  }));
  return [...listTemplates(), ...own];
}

/** @throws KilnError not-found, listing the templates */
export function resolveTemplate(id: string, customizations: BuildCustomizations): ResolvedTemplate {
  const template = registered.get(id);
  const environmentVars = { ...template?.environmentVars, ...customizations.environmentVars };
  const files = { ...template?.files, ...customizations.files };
  if (template?.nixExpression !== undefined)
    return { source: { kind: 'expression', expression: template.nixExpression, files }, environmentVars };
  const name = template?.basedOn ?? id;
  if (!listTemplates().some((known) => known.name === name)) throw unknownTemplate(id);
  return { source: { kind: 'template', template: name, customizations: { files } }, environmentVars };
}

function unknownTemplate(id: string): KilnError {
  const names = allTemplates().map(({ name }) => name);
  const close = closestMatches(String(id), names, 1)[0];
  return new KilnError('not-found', `There is no template ${JSON.stringify(String(id).slice(0, 80))}`, {
    hint: `${close === undefined ? '' : `Did you mean ${close}? `}There are ${names.join(', ')}; NixBuildService.registerTemplate adds your own.`,
    fields: { templates: names },
  });
}
