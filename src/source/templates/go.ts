/** Template `go`: a module with go.sum or vendor/, built into one static program where it does not use cgo. */
import { KilnError } from '../../base/error.ts';
import { dependencyExpression } from '../dependencies/dependency-set.ts';
import { goModules } from '../dependencies/fetch-go.ts';
import { nixLines, nixString, shellWord, storeName } from '../nix-text.ts';
import { recogniseGo } from '../recognise/detect-go.ts';
import { compareVersions, mainProgram, readGoModule, vendorFits, type GoModule } from './go-module.ts';
import { execLine } from './start-script.ts';
import type { DependencySet, Template, TemplatePlan, TemplateRequest } from './template.ts';

/** The oldest packaged Go; a module that asks for a newer one brings the toolchain along. */
const PACKAGED_GO = '1.24.0';
const ASSET_FOLDERS = ['templates', 'static', 'public', 'assets', 'views', 'web', 'migrations', 'config'];

export const goTemplate: Template = {
  name: 'go',
  title: 'Go',
  description: 'go.mod with go.sum or vendor/; the program at the root or in cmd/',
  recognise: recogniseGo,
  plan: planGo,
  starter: {
    'go.mod': 'module example.com/hello\n\ngo 1.23\n',
    'main.go': `package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
)

func main() {
	port := os.Getenv("PORT")
	if port == "" {
		port = "8080"
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "Hello from Go") })
	log.Fatal(http.ListenAndServe(":"+port, nil))
}
`,
    'kiln.toml': '[health]\nhttp = "/"\n',
  },
};

async function planGo(request: TemplateRequest): Promise<TemplatePlan> {
  const { tree, settings, hints, context } = request;
  const module = await readGoModule(tree);
  if (module === undefined) {
    throw new KilnError('source-unrecognised', 'The template go needs a go.mod', {
      where: tree.directory,
      hint: 'Run `go mod init NAME` there.',
    });
  }
  const program = mainProgram(module);
  if (program === undefined) throw noProgram(module);
  const outdated = tree.has('vendor/modules.txt') && tree.has('go.sum') && !(await vendorFits(tree));
  const vendored = tree.has('vendor/modules.txt') && !outdated;
  const newer =
    module.version !== undefined && compareVersions(module.version, PACKAGED_GO) > 0
      ? module.version
      : undefined;
  const platform = context.nix.system.startsWith('aarch64') ? 'linux-arm64' : 'linux-amd64';
  const toolchain = newer === undefined ? undefined : `golang.org/toolchain@v0.0.1-go${newer}.${platform}`;
  const needsModules = toolchain !== undefined || (!vendored && module.hasRequirements);
  const set = needsModules ? await goModules(tree, toolchain, context) : undefined;
  const listens =
    module.listens ||
    hints.port !== undefined ||
    settings.health?.http !== undefined ||
    settings.image?.ports !== undefined;
  const port = settings.image?.ports?.[0] ?? hints.port ?? 8080;
  const name = storeName(
    program === '.' ? module.path.replace(/\/v\d+$/, '').replace(/^.*\//, '') : program.replace(/^.*\//, ''),
    'app',
  );
  const assets = ASSET_FOLDERS.filter(
    (folder) =>
      tree.hasFolder(folder) &&
      !tree.paths.some((path) => path.startsWith(`${folder}/`) && path.endsWith('.go')),
  );
  return {
    expression: goExpression({
      name,
      program,
      vendored,
      set,
      toolchain: newer,
      usesCgo: module.usesCgo,
      assets,
      request,
    }),
    settings: listens
      ? { image: { ports: [port], env: { PORT: String(port) } }, health: { tcp: true, port } }
      : {},
    dependencies: set === undefined ? [] : [set],
    notes: [
      `builds ${program === '.' ? 'the package at the root' : program}${module.usesCgo ? ' with cgo' : ''}`,
      ...(newer === undefined ? [] : [`Go ${newer}, which go.mod asks for, is downloaded as a module`]),
      ...(listens ? [] : ['nothing in its files waits for connections: it is started without a port']),
      ...(outdated ? ['vendor/ is not what go.mod asks for, so it is not used'] : []),
      vendored
        ? 'modules from vendor/'
        : set === undefined
          ? 'no modules'
          : `${set.packages.length} modules of go.sum`,
    ],
  };
}

interface GoExpressionOptions {
  readonly name: string;
  readonly program: string;
  readonly vendored: boolean;
  readonly set: DependencySet | undefined;
  readonly toolchain: string | undefined;
  readonly usesCgo: boolean;
  /** Folders that the program may read while it runs. */
  readonly assets: readonly string[];
  readonly request: TemplateRequest;
}

function goExpression(options: GoExpressionOptions): string {
  const { name, set } = options;
  return `# Written by Kiln (template go).
{ pkgs ? import <nixpkgs> { }, src ? ./. }:
${set === undefined ? '' : `let\n  modules = ${dependencyExpression(set, '  ')};\nin\n`}pkgs.${options.usesCgo ? 'stdenv' : 'stdenvNoCC'}.mkDerivation {
  name = ${nixString(name)};
  src = builtins.path { path = src; name = "source"; };
  nativeBuildInputs = [ pkgs.go ];
${set === undefined ? '' : '  inherit modules;\n'}  bash = pkgs.bash;
  dontConfigure = true;
  dontStrip = true;
  buildPhase = ${nixLines(buildLines(options), '  ')};
  installPhase = ${nixLines(installLines(options), '  ')};
  meta.mainProgram = ${nixString(name)};
}
`;
}

function buildLines({
  name,
  program,
  vendored,
  set,
  toolchain,
  usesCgo,
  request,
}: GoExpressionOptions): string {
  const { command, test } = request.settings.build ?? {};
  const package_ = program === '.' ? '.' : `./${program}`;
  return [
    'runHook preBuild',
    'export HOME=$TMPDIR GOCACHE=$TMPDIR/go-build GOMODCACHE=$TMPDIR/go-mod GOSUMDB=off GONOSUMDB="*" GOTELEMETRY=off',
    `export GOPROXY=${set === undefined ? 'off' : 'file://$modules'} GOTOOLCHAIN=${toolchain === undefined ? 'local' : `go${toolchain}`}`,
    `export CGO_ENABLED=${usesCgo ? 1 : 0} GOFLAGS="-mod=${vendored ? 'vendor' : 'readonly'} -trimpath -buildvcs=false -modcacherw"`,
    ...(command === undefined ? [] : [command]),
    `go build -ldflags "-s -w -buildid=" -o $TMPDIR/program/${name} ${shellWord(package_)}`,
    ...(test === undefined ? [] : [test]),
    'runHook postBuild',
  ].join('\n');
}

function installLines({ name, assets, request }: GoExpressionOptions): string {
  const start = request.settings.build?.start;
  const direct = assets.length === 0 && start === undefined;
  if (direct)
    return [
      'runHook preInstall',
      'mkdir -p $out/bin',
      `cp $TMPDIR/program/${name} $out/bin/${name}`,
      'runHook postInstall',
    ].join('\n');
  return [
    'runHook preInstall',
    `mkdir -p $out/bin $out/libexec $out/share/${name}`,
    `cp $TMPDIR/program/${name} $out/libexec/${name}`,
    ...assets.map((folder) => `cp -R ${shellWord(folder)} $out/share/${name}/`),
    `cat > $out/bin/${name} <<'START'`,
    '#!@bash@/bin/bash',
    `cd @out@/share/${name}`,
    'export PATH=@out@/libexec${PATH:+:$PATH}',
    start === undefined ? `exec @out@/libexec/${name} "$@"` : execLine(start),
    'START',
    `sed -i -e "s|@out@|$out|" -e "s|@bash@|$bash|" $out/bin/${name}`,
    `chmod 755 $out/bin/${name}`,
    'runHook postInstall',
  ].join('\n');
}

function noProgram(module: GoModule): KilnError {
  const none = module.programs.length === 0;
  return new KilnError(
    'source-unrecognised',
    none
      ? 'The Go module has no package main'
      : 'The Go module has several programs, and none is the obvious one',
    {
      where: none ? `module ${module.path}` : module.programs.join(', '),
      hint: none
        ? 'A library cannot be started. Name the folder of a program.'
        : 'Build the folder of one of them with a kiln.toml, or name the folder like the module.',
    },
  );
}
