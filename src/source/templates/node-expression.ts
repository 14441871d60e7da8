/** Writes the Nix expression of template `node`. */
import { dependencyExpression } from '../dependencies/dependency-set.ts';
import type { NodeDependencies } from '../dependencies/node-dependencies.ts';
import { installDependencies, managerTools, pruneDependencies } from './node-install.ts';
import { nixLines, nixString, shellWord } from '../nix-text.ts';
import type { NodeStart } from './node-start.ts';
import { enterLines, execLine } from './start-script.ts';
import { staticServerAttributes, staticServerLines } from './static-server.ts';

export interface NodeExpressionOptions {
  readonly name: string;
  readonly version: string;
  readonly major: number;
  readonly dependencies: NodeDependencies;
  readonly start: NodeStart;
  /** It runs in a copy of its folder. */
  readonly writable: boolean;
  /** Exported before the build command. */
  readonly buildVariables: Readonly<Record<string, string>>;
  /** Text of `nix/templates/prepare-node.mjs`. */
  readonly script: string;
}

export function nodeExpression(options: NodeExpressionOptions): string {
  const { dependencies, start } = options;
  const site = start.site !== undefined;
  const tools = [
    'nodejs',
    'pkgs.patchelf',
    ...managerTools(dependencies),
    ...(dependencies.compiles ? ['pkgs.python3'] : []),
  ];
  return `# Written by Kiln (template node: ${start.why.replace(/[^\w ".,:/-]/g, ' ')}).
{ pkgs ? import <nixpkgs> { }, src ? ./. }:
let
  nodejs = pkgs.nodejs_${options.major} or pkgs.nodejs;
${dependencies.set === undefined ? '' : `  dependencies = ${dependencyExpression(dependencies.set, '  ')};\n`}  prepare = builtins.toFile "prepare-node.mjs" ${nixLines(options.script, '  ')};
in
pkgs.${dependencies.compiles ? 'stdenv' : 'stdenvNoCC'}.mkDerivation {
  pname = ${nixString(options.name)};
  version = ${nixString(options.version.replace(/[^\w.+-]/g, '-'))};
  src = builtins.path { path = src; name = "source"; };
  nativeBuildInputs = [ ${tools.join(' ')} ];
  inherit nodejs prepare;
${dependencies.compiles ? '  headers = nodejs.headers or nodejs;\n' : ''}${dependencies.set === undefined ? '' : '  inherit dependencies;\n'}  bash = pkgs.bash;
${options.writable && !site ? '  coreutils = pkgs.coreutils;\n' : ''}${site ? staticServerAttributes('  ').replace(/^ {2}bash = .*\n/m, '') + '\n' : ''}  dontConfigure = true;
  dontStrip = true;
  dontPatchELF = true;
  dontPatchShebangs = true;
  buildPhase = ${nixLines(buildLines(options), '  ')};
  installPhase = ${nixLines(installLines(options), '  ')};
  meta.mainProgram = ${nixString(programName(options))};
}
`;
}

function programName({ name, start }: NodeExpressionOptions): string {
  return start.program?.name ?? name;
}

function buildLines(options: NodeExpressionOptions): string {
  const { start, dependencies } = options;
  const lines = [
    'runHook preBuild',
    'export HOME=$TMPDIR CI=true HUSKY=0 NEXT_TELEMETRY_DISABLED=1 ASTRO_TELEMETRY_DISABLED=1',
    'export npm_config_cache=$TMPDIR/npm npm_config_offline=true npm_config_audit=false npm_config_fund=false',
    'export npm_config_update_notifier=false npm_config_script_shell=$bash/bin/bash',
    'export SHELL_PROGRAM=$bash/bin/bash PATH=$PWD/node_modules/.bin:$PATH',
    ...(dependencies.compiles
      ? ['export npm_config_nodedir=$headers npm_package_config_node_gyp_nodedir=$headers']
      : []),
    // npm 6 did not install what packages expect beside them.
    ...(dependencies.oldLock === true ? ['export npm_config_legacy_peer_deps=true'] : []),
    ...installDependencies(dependencies),
    ...Object.entries(options.buildVariables).map(([name, value]) => `export ${name}=${shellWord(value)}`),
    ...(start.build === undefined ? [] : [start.build]),
    ...(start.test === undefined ? [] : [start.test]),
    'runHook postBuild',
  ];
  return lines.join('\n');
}

function installLines(options: NodeExpressionOptions): string {
  const { name, start, dependencies } = options;
  if (start.site !== undefined) {
    const root = `share/${name}`;
    const others = (start.otherOutputs ?? []).filter((folder) => folder !== start.site);
    const found = [
      `site=${shellWord(start.site)}`,
      ...(others.length === 0
        ? []
        : [
            `if [ ! -e "$site/index.html" ]; then site=$(node $prepare site "$site" ${others.join(' ')}); fi`,
          ]),
      `if [ ! -d "$site" ]; then echo "The build left no folder $site. Name the right one: output = \\"…\\" below [build] in kiln.toml." >&2; exit 1; fi`,
      ...(others.length === 0
        ? []
        : [
            `if [ ! -e "$site/index.html" ]; then echo "The build left no index.html in $site: a library has nothing to serve. Name the folder of a site, output = \\"…\\", or a program, start = \\"…\\", below [build] in kiln.toml." >&2; exit 1; fi`,
          ]),
    ];
    return [
      'runHook preInstall',
      ...found,
      `mkdir -p $out/share`,
      `cp -R "$site" $out/${root}`,
      staticServerLines({ name, root, singlePage: true, port: 8080 }),
      'runHook postInstall',
    ].join('\n');
  }
  return [
    'runHook preInstall',
    ...(start.developmentPackages === undefined ? pruneDependencies(dependencies) : ['node $prepare clean']),
    ...copyLines(options),
    ...starter(options),
    'runHook postInstall',
  ].join('\n');
}

function copyLines({ name }: NodeExpressionOptions): readonly string[] {
  return [`mkdir -p $out/bin $out/lib/${name}`, `cp -R . $out/lib/${name}/`];
}

function starter(options: NodeExpressionOptions): readonly string[] {
  const { name, start } = options;
  const folder = `@out@/lib/${name}`;
  const program = programName(options);
  const last =
    start.program === undefined
      ? execLine(start.start ?? 'node .')
      : `exec node ${shellWord(`${folder}/${start.program.file.replace(/^\.\//, '')}`)} "$@"`;
  return [
    `cat > $out/bin/${program} <<'START'`,
    '#!@bash@/bin/bash',
    ...(start.program === undefined ? enterLines(folder, options.writable) : []),
    `export PATH=@nodejs@/bin:${folder}/node_modules/.bin\${PATH:+:$PATH}`,
    'export NODE_ENV="${NODE_ENV:-production}"',
    // Put there by prepare-node.mjs where an add-on needs them.
    `if [ -d ${folder}/.system-libraries ]; then export LD_LIBRARY_PATH=${folder}/.system-libraries\${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}; fi`,
    last,
    'START',
    `sed -i -e "s|@out@|$out|g" -e "s|@nodejs@|$nodejs|" -e "s|@bash@|$bash|" -e "s|@coreutils@|$coreutils|g" $out/bin/${program}`,
    `chmod 755 $out/bin/${program}`,
  ];
}
