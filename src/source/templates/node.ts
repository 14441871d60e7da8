/** Template `node`: package.json with a lock, built by its own package manager without network. */
import { readFile } from 'node:fs/promises';
import { KilnError } from '../../base/error.ts';
import { recogniseNode } from '../recognise/detect-node.ts';
import { nixNodeDependencies } from '../dependencies/node-dependencies.ts';
import { nodeExpression } from './node-expression.ts';
import { nodeStart } from './node-start.ts';
import { fixedPort } from './fixed-port.ts';
import { chooseNode } from './node-version.ts';
import { readPackageJson } from './package-json.ts';
import { storeName } from '../nix-text.ts';
import { nodeStarter } from './node-starter.ts';
import type { Template, TemplatePlan, TemplateRequest } from './template.ts';

export const nodeTemplate: Template = {
  name: 'node',
  title: 'Node.js',
  description:
    'package.json with package-lock.json, yarn.lock or pnpm-lock.yaml; servers, and sites that a bundler builds',
  recognise: recogniseNode,
  plan: planNode,
  starter: nodeStarter,
};

/** Variables that bundlers write into what the browser gets; others are the image's alone. */
const BUILD_VARIABLE = /^(NEXT_PUBLIC_|VITE_|PUBLIC_|REACT_APP_|VUE_APP_|GATSBY_)\w+$/;

async function planNode(request: TemplateRequest): Promise<TemplatePlan> {
  const { tree, settings, hints } = request;
  const manifest = await readPackageJson(tree);
  if (manifest === undefined) {
    throw new KilnError('source-unrecognised', 'The template node needs a package.json', {
      where: tree.directory,
      hint: 'Run `npm init` there, or name another template in kiln.toml.',
    });
  }
  const node = await chooseNode(tree, manifest);
  const dependencies = await nixNodeDependencies(tree, manifest, node.major, request.context);
  const start = await nodeStart(request, manifest, dependencies.run);
  if (start === undefined) throw noStart(tree.directory);
  const name = storeName(manifest.name ?? request.fallbackName, 'app');
  const buildVariables = Object.entries(request.environmentVars).filter(([key]) => BUILD_VARIABLE.test(key));
  const fixed = start.start === undefined ? undefined : await fixedPort(tree, start.start, manifest.main);
  const port = settings.image?.ports?.[0] ?? fixed ?? hints.port ?? (start.site === undefined ? 3000 : 8080);
  const expression = nodeExpression({
    name,
    version: manifest.version ?? '0.0.0',
    major: node.major,
    dependencies,
    start,
    writable: settings.build?.writable ?? false,
    buildVariables: Object.fromEntries(buildVariables),
    script: await readFile(new URL('../../../nix/templates/prepare-node.mjs', import.meta.url), 'utf8'),
  });
  return {
    expression,
    settings:
      start.program === undefined ? serverSettings(port, start.hasPages, start.site === undefined) : {},
    dependencies: dependencies.set === undefined ? [] : [dependencies.set],
    notes: [
      node.why,
      `started by: ${start.why}`,
      ...(start.developmentPackages === undefined
        ? []
        : [
            `its start line needs ${start.developmentPackages.join(', ')}, so packages for development stay in the image`,
          ]),
      ...dependencies.notes,
    ],
  };
}

function serverSettings(port: number, hasPages: boolean, isNode: boolean): TemplatePlan['settings'] {
  const env = { PORT: String(port), ...(isNode ? { HOST: '0.0.0.0', NODE_ENV: 'production' } : {}) };
  return { image: { ports: [port], env }, health: hasPages ? { http: '/', port } : { tcp: true, port } };
}

function noStart(where: string): KilnError {
  return new KilnError('source-unrecognised', 'Nothing tells how to start this Node.js application', {
    where,
    hint: 'Add a script "start" to package.json, or write `start = "node server.js"` below [build] in kiln.toml.',
    fields: {
      lookedFor: [
        'kiln.toml build.start',
        'scripts.start',
        'Procfile',
        'Dockerfile CMD',
        'bin',
        'main',
        'server.js',
        'index.js',
      ],
    },
  });
}
