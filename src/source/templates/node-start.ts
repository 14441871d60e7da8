/** How a Node.js application is built and started: by its settings, its scripts, its framework. */
import type { TreeReader } from '../tree/tree-reader.ts';
import { allDependencies, type PackageJson } from './package-json.ts';
import { isDevelopmentServer, packagesOf, scriptCommands } from './script-programs.ts';
import type { TemplateRequest } from './template.ts';

export interface NodeStart {
  /** Shell lines; undefined where there is nothing to do. */
  readonly build?: string;
  readonly test?: string;
  /** A server: a shell line. */
  readonly start?: string;
  /** Or a folder with a built site. */
  readonly site?: string;
  /** Further folders that may hold it, if that one is not there after the build. */
  readonly otherOutputs?: readonly string[];
  /** Packages for development that the start line needs. */
  readonly developmentPackages?: readonly string[];
  /** Or a program of the package. */
  readonly program?: { readonly name: string; readonly file: string };
  readonly why: string;
  /** The page at `/` can be expected to answer. */
  readonly hasPages: boolean;
}

const SITE_BUILDERS: readonly {
  readonly package: string;
  readonly output: string;
  readonly title: string;
}[] = [
  { package: 'react-scripts', output: 'build', title: 'Create React App' },
  { package: '@docusaurus/core', output: 'build', title: 'Docusaurus' },
  { package: 'astro', output: 'dist', title: 'Astro' },
  { package: 'vitepress', output: '.vitepress/dist', title: 'VitePress' },
  { package: '@11ty/eleventy', output: '_site', title: 'Eleventy' },
  { package: '@vue/cli-service', output: 'dist', title: 'Vue CLI' },
  { package: 'parcel', output: 'dist', title: 'Parcel' },
  { package: 'vite', output: 'dist', title: 'Vite' },
  { package: '@angular/cli', output: 'dist', title: 'Angular' },
];
const SERVERS = [
  'express',
  'fastify',
  'koa',
  '@hapi/hapi',
  'hono',
  '@nestjs/core',
  '@hono/node-server',
  'polka',
  'restify',
];
/** A script that starts what was built, where `start` itself is for development. */
const PRODUCTION_SCRIPTS = ['start:prod', 'start:production', 'serve:prod', 'production', 'prod'];
/** Where bundlers leave a site when nothing says so. */
const USUAL_OUTPUTS = ['dist', 'build', 'out', '_site', 'www'];

/** Undefined where nothing tells how to start it. */
export async function nodeStart(
  request: TemplateRequest,
  manifest: PackageJson,
  run: string,
): Promise<NodeStart | undefined> {
  const { settings, tree } = request;
  const scripts = manifest.scripts ?? {};
  const dependencies = allDependencies(manifest);
  const build = settings.build?.command ?? (scripts['build'] === undefined ? undefined : `${run} build`);
  const steps = {
    ...(build === undefined ? {} : { build }),
    ...(settings.build?.test === undefined ? {} : { test: settings.build.test }),
  };
  const explicit = settings.build?.start;
  if (explicit !== undefined)
    return { ...steps, start: explicit, why: 'kiln.toml names the start command', hasPages: false };
  if (settings.build?.output !== undefined) {
    return {
      ...steps,
      site: settings.build.output,
      why: 'kiln.toml names the folder of the built site',
      hasPages: true,
    };
  }
  if (dependencies['next'] !== undefined) return { ...steps, ...(await nextStart(tree, manifest)) };
  const server = SERVERS.find((name) => manifest.dependencies?.[name] !== undefined);
  const builder = SITE_BUILDERS.find((candidate) => dependencies[candidate.package] !== undefined);
  const serverAdapter = /@astrojs\/node|@sveltejs\/adapter-node|@remix-run\/serve|@react-router\/serve|nuxt/;
  const rendersOnServer = Object.keys(dependencies).some((name) => serverAdapter.test(name));
  const served = server === undefined && !rendersOnServer ? servedSite(manifest, tree) : undefined;
  const script = startScript(manifest);
  if (script !== undefined && served === undefined) return { ...steps, ...script };
  if (builder !== undefined && build !== undefined && server === undefined && !rendersOnServer) {
    return {
      ...steps,
      site: await siteOutput(tree, builder.output),
      otherOutputs: USUAL_OUTPUTS,
      why: `${builder.title} builds a static site`,
      hasPages: true,
    };
  }
  if (served !== undefined && (build !== undefined || tree.has(`${served.output}/index.html`))) {
    return { ...steps, site: served.output, otherOutputs: USUAL_OUTPUTS, why: served.why, hasPages: true };
  }
  if (request.hints.start !== undefined) {
    return {
      ...steps,
      start: request.hints.start,
      why: `the ${request.hints.from ?? 'Procfile'}`,
      hasPages: false,
    };
  }
  return mainProgram(manifest, tree, steps, server);
}

/** The script "start", or the one for production where "start" needs packages that production does not have. */
function startScript(
  manifest: PackageJson,
): Pick<NodeStart, 'start' | 'why' | 'hasPages' | 'developmentPackages'> | undefined {
  const scripts = manifest.scripts ?? {};
  const forDevelopment = Object.keys(manifest.devDependencies ?? {}).filter(
    (name) => manifest.dependencies?.[name] === undefined,
  );
  const needs = (name: string): readonly string[] =>
    packagesOf(scriptCommands(scripts, name), forDevelopment);
  const start = scripts['start'];
  const production = PRODUCTION_SCRIPTS.find(
    (name) => scripts[name] !== undefined && needs(name).length === 0,
  );
  const why = (name: string): string => `the script "${name}" of package.json`;
  if (start === undefined || needs('start').length > 0) {
    if (production !== undefined)
      return { start: scripts[production] ?? '', why: why(production), hasPages: false };
  }
  if (start === undefined) return undefined;
  const developmentPackages = needs('start');
  return {
    start,
    why: why('start'),
    hasPages: false,
    ...(developmentPackages.length === 0 ? {} : { developmentPackages }),
  };
}

/** A site whose script "start" only serves it to its author. */
function servedSite(manifest: PackageJson, tree: TreeReader): { output: string; why: string } | undefined {
  const scripts = manifest.scripts ?? {};
  const commands = scriptCommands(scripts, scripts['start'] === undefined ? 'dev' : 'start');
  const servers = ['browser-sync', 'live-server', 'lite-server', 'webpack-dev-server', 'gulp', 'parcel'];
  const all = allDependencies(manifest);
  const committed = USUAL_OUTPUTS.find((folder) => tree.has(`${folder}/index.html`));
  // A script of its own may start one of these.
  const byHand =
    servers.some((name) => all[name] !== undefined) &&
    (committed !== undefined || Object.keys(manifest.dependencies ?? {}).length === 0);
  if (!commands.some(isDevelopmentServer) && !byHand) return undefined;
  const output = USUAL_OUTPUTS.find((folder) => tree.has(`${folder}/index.html`)) ?? 'dist';
  return {
    output,
    why: 'its script "start" serves a site for development; what it builds is served instead',
  };
}

async function nextStart(tree: TreeReader, manifest: PackageJson): Promise<NodeStart> {
  const names = ['next.config.js', 'next.config.mjs', 'next.config.ts', 'next.config.cjs'];
  const texts = await Promise.all(names.map((name) => tree.read(name)));
  if (/output:\s*['"]export['"]/.test(texts.join('\n'))) {
    return { site: 'out', why: 'Next.js exports a static site', hasPages: true };
  }
  const own = manifest.scripts?.['start'];
  return { start: own ?? 'next start', why: 'Next.js', hasPages: true };
}

/** `outDir` of a Vite or Astro configuration where it is written as plain text. */
async function siteOutput(tree: TreeReader, fallback: string): Promise<string> {
  for (const base of ['vite.config', 'astro.config']) {
    for (const extension of ['ts', 'js', 'mjs', 'mts']) {
      const output = /outDir:\s*['"]([\w./-]+)['"]/.exec(
        (await tree.read(`${base}.${extension}`)) ?? '',
      )?.[1];
      if (output !== undefined && !output.includes('..')) return output.replace(/^\.\//, '');
    }
  }
  return fallback;
}

function mainProgram(
  manifest: PackageJson,
  tree: TreeReader,
  steps: Pick<NodeStart, 'build' | 'test'>,
  server: string | undefined,
): NodeStart | undefined {
  const files = [
    manifest.main,
    'server.js',
    'server.mjs',
    'app.js',
    'index.js',
    'index.mjs',
    'src/server.js',
    'src/index.js',
  ];
  if (manifest.bin !== undefined && server === undefined) {
    const [name, file] =
      typeof manifest.bin === 'string'
        ? [manifest.name ?? 'app', manifest.bin]
        : (Object.entries(manifest.bin)[0] ?? []);
    if (name !== undefined && file !== undefined) {
      return {
        ...steps,
        program: { name: name.replace(/^.*\//, ''), file },
        why: 'the program in "bin" of package.json',
        hasPages: false,
      };
    }
  }
  const main = files.find((file) => file !== undefined && tree.has(file.replace(/^\.\//, '')));
  if (main === undefined) return undefined;
  return { ...steps, start: `node ${main}`, why: `no script "start", but ${main} is there`, hasPages: false };
}
