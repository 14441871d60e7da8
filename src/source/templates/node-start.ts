/** How a Node.js application is built and started: by its settings, its scripts, its framework. */
import type { TreeReader } from '../tree/tree-reader.ts';
import { allDependencies, type PackageJson } from './package-json.ts';
import type { TemplateRequest } from './template.ts';

export interface NodeStart {
  /** Shell lines; undefined where there is nothing to do. */
  readonly build?: string;
  readonly test?: string;
  /** A server: a shell line. */
  readonly start?: string;
  /** Or a folder with a built site. */
  readonly site?: string;
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
/** Start lines that serve a site for development only. */
const DEVELOPMENT =
  /^(npx +)?(vite( preview| dev)?|astro (dev|preview)|react-scripts start|vue-cli-service serve|parcel)\b/;

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
  const start = scripts['start'];
  const site = SITE_BUILDERS.find((builder) => dependencies[builder.package] !== undefined);
  const serverAdapter = /@astrojs\/node|@sveltejs\/adapter-node|@remix-run\/serve|@react-router\/serve|nuxt/;
  const rendersOnServer = Object.keys(dependencies).some((name) => serverAdapter.test(name));
  if (start !== undefined && !(site !== undefined && server === undefined && DEVELOPMENT.test(start))) {
    return { ...steps, start, why: 'the script "start" of package.json', hasPages: false };
  }
  if (site !== undefined && build !== undefined && server === undefined && !rendersOnServer) {
    return {
      ...steps,
      site: await siteOutput(tree, site.output),
      why: `${site.title} builds a static site`,
      hasPages: true,
    };
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
