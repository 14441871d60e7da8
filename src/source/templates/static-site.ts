/** Template `static-site`: a folder with index.html, served by nginx. */
import path from 'node:path';
import { KilnError } from '../../base/error.ts';
import { nixLines, nixString, shellWord, storeName } from '../nix-text.ts';
import { findSiteFolder, recogniseStaticSite } from '../recognise/detect-static-site.ts';
import { staticServerAttributes, staticServerLines } from './static-server.ts';
import type { Template, TemplatePlan, TemplateRequest } from './template.ts';

const PORT = 8080;

export const staticSiteTemplate: Template = {
  name: 'static-site',
  title: 'Static site',
  description: 'a folder with index.html, served by nginx with types, ranges, compression and 404.html',
  recognise: recogniseStaticSite,
  plan: planStaticSite,
  starter: {
    'index.html': `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>It works</title>
<style>:root { color-scheme: light dark; font: 1.1rem/1.5 system-ui; } body { max-width: 36rem; margin: 20vh auto; padding: 0 1rem; }</style>
<h1>It works</h1>
<p>This page is a Nix store path, served from an image that Kiln built.</p>
</html>
`,
    '404.html':
      '<!doctype html><meta charset="utf-8"><title>Not found</title><h1>There is no such page</h1>\n',
  },
};

async function planStaticSite(request: TemplateRequest): Promise<TemplatePlan> {
  const { tree, settings } = request;
  const folder = settings.build?.output ?? findSiteFolder(tree);
  if (
    folder === undefined ||
    (settings.build?.command === undefined && folder !== '' && folder !== '.' && !tree.hasFolder(folder))
  ) {
    throw new KilnError(
      'source-unrecognised',
      `The template static-site found no ${folder === undefined ? 'index.html' : `folder ${folder}`}`,
      {
        where: tree.directory,
        hint: 'Write the folder with the site as `output = "…"` below [build] in kiln.toml.',
      },
    );
  }
  if (path.isAbsolute(folder) || folder.split('/').includes('..')) {
    throw new KilnError('invalid-config', 'build.output lies outside the source', {
      where: `kiln.toml: build.output = "${folder}"`,
      hint: 'Name a folder below kiln.toml.',
    });
  }
  const port = settings.image?.ports?.[0] ?? request.hints.port ?? PORT;
  const name = storeName(settings.image?.name?.replace(/^.*\//, '') ?? request.fallbackName, 'site');
  return {
    expression: staticSiteExpression({
      name,
      folder: folder === '' ? '.' : folder,
      port,
      command: settings.build?.command,
      test: settings.build?.test,
    }),
    settings: { image: { ports: [port], env: { PORT: String(port) } }, health: { http: '/', port } },
    dependencies: [],
    notes: [`serves ${folder === '' ? 'the whole folder' : folder} on port ${port}`],
  };
}

function staticSiteExpression(site: {
  readonly name: string;
  readonly folder: string;
  readonly port: number;
  readonly command: string | undefined;
  readonly test: string | undefined;
}): string {
  const root = `share/${site.name}`;
  const build = [
    'runHook preBuild',
    ...[site.command, site.test].filter((line) => line !== undefined),
    'runHook postBuild',
  ];
  const install = [
    'runHook preInstall',
    'mkdir -p $out/share',
    `cp -R ${shellWord(site.folder)} $out/${root}`,
    `rm -rf $out/${root}/kiln.toml $out/${root}/Dockerfile $out/${root}/Procfile`,
    staticServerLines({ name: site.name, root, singlePage: false, port: site.port }),
    'runHook postInstall',
  ];
  return `# Written by Kiln (template static-site).
{ pkgs ? import <nixpkgs> { }, src ? ./. }:
pkgs.stdenvNoCC.mkDerivation {
  name = ${nixString(site.name)};
  src = builtins.path { path = src; name = "source"; };
${staticServerAttributes('  ')}
  dontConfigure = true;
  buildPhase = ${nixLines(build.join('\n'), '  ')};
  installPhase = ${nixLines(install.join('\n'), '  ')};
  meta.mainProgram = ${nixString(site.name)};
}
`;
}
