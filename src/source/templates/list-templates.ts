/** The templates there are, in the order in which they are tried. */
import { closestMatches } from '../../base/closest-match.ts';
import { KilnError } from '../../base/error.ts';
import { goTemplate } from './go.ts';
import { nodeTemplate } from './node.ts';
import { pythonTemplate } from './python.ts';
import { staticSiteTemplate } from './static-site.ts';
import type { Template } from './template.ts';

export interface TemplateSummary {
  readonly name: string;
  readonly title: string;
  readonly description: string;
}

const TEMPLATES: readonly Template[] = [nodeTemplate, pythonTemplate, goTemplate, staticSiteTemplate];

export function listTemplates(): readonly TemplateSummary[] {
  return TEMPLATES.map(({ name, title, description }) => ({ name, title, description }));
}

export function allTemplates(): readonly Template[] {
  return TEMPLATES;
}

/** @throws KilnError invalid-input listing the templates */
export function findTemplate(name: string): Template {
  const template = TEMPLATES.find((candidate) => candidate.name === name);
  if (template !== undefined) return template;
  const names = TEMPLATES.map((candidate) => candidate.name);
  const close = closestMatches(name, names, 1)[0];
  throw new KilnError('invalid-input', `There is no template ${JSON.stringify(name.slice(0, 80))}`, {
    where: `template:${name.slice(0, 80)}`,
    hint: `${close === undefined ? '' : `Did you mean ${close}? `}There are ${names.join(', ')}.`,
    fields: { templates: names },
  });
}
