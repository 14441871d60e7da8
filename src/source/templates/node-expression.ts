/** Writes the Nix expression of template `node`. */
import { dependencyExpression } from '../dependencies/dependency-set.ts';
import type { NodeDependencies } from '../dependencies/node-dependencies.ts';
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
    ...managerTools(dependencies.manager),
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

function managerTools(manager: NodeDependencies['manager']): readonly string[] {
  return manager === 'yarn' ? ['pkgs.yarn'] : manager === 'pnpm' ? ['pkgs.pnpm'] : [];
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
    ...installDependencies(dependencies.manager),
    ...Object.entries(options.buildVariables).map(([name, value]) => `export ${name}=${shellWord(value)}`),
    ...(start.build === undefined ? [] : [start.build]),
    ...(start.test === undefined ? [] : [start.test]),
    'runHook postBuild',
  ];
  return lines.join('\n');
}

function installDependencies(manager: NodeDependencies['manager']): readonly string[] {
  const relocate = ['node $prepare programs $nodejs/bin/node'];
  switch (manager) {
    case 'none':
      return [];
    case 'npm':
      return [
        'if [ ! -e package-lock.json ] && [ ! -e npm-shrinkwrap.json ]; then cp $dependencies/package-lock.json .; fi',
        'cp package-lock.json $TMPDIR/package-lock.json 2> /dev/null || cp npm-shrinkwrap.json $TMPDIR/npm-shrinkwrap.json',
        'node $prepare lock $dependencies',
        'npm ci --ignore-scripts --no-progress',
        ...relocate,
        'npm rebuild --no-progress',
        'npm run postinstall --if-present',
        'mkdir -p node_modules',
      ];
    case 'yarn':
      return [
        'echo "yarn-offline-mirror \\"$dependencies\\"" > $HOME/.yarnrc',
        'yarn install --offline --frozen-lockfile --ignore-scripts --ignore-engines --non-interactive --no-progress',
        ...relocate,
        'npm rebuild --no-progress',
        'npm run postinstall --if-present',
      ];
    case 'pnpm':
      return [
        'node $prepare serve $dependencies > $TMPDIR/registry &',
        'registry=$!',
        'while [ ! -s $TMPDIR/registry ]; do sleep 0.1; done',
        'export npm_config_offline=false npm_config_registry=$(cat $TMPDIR/registry) npm_config_manage_package_manager_versions=false',
        'pnpm install --frozen-lockfile --ignore-scripts --store-dir $TMPDIR/pnpm --package-import-method copy --reporter append-only',
        'kill $registry',
        ...relocate,
        'pnpm rebuild',
        'npm run postinstall --if-present',
      ];
  }
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
    ...(start.developmentPackages === undefined ? prune(dependencies.manager) : ['node $prepare clean']),
    ...copyLines(options),
    ...starter(options),
    'runHook postInstall',
  ].join('\n');
}

function prune(manager: NodeDependencies['manager']): readonly string[] {
  switch (manager) {
    case 'none':
      return [];
    case 'npm':
      return [
        'npm prune --omit=dev --ignore-scripts --no-progress',
        'cp -f $TMPDIR/package-lock.json . 2> /dev/null || cp -f $TMPDIR/npm-shrinkwrap.json .',
        'node $prepare clean',
      ];
    case 'yarn':
      // yarn removes what scripts of packages built.
      return [
        'mkdir $TMPDIR/whole',
        'mv node_modules $TMPDIR/whole/',
        'yarn install --offline --frozen-lockfile --ignore-scripts --ignore-engines --non-interactive --no-progress --production',
        'mkdir -p node_modules',
        'node $prepare restore $TMPDIR/whole',
        'node $prepare clean',
      ];
    case 'pnpm':
      return ['pnpm prune --prod --ignore-scripts', 'node $prepare clean'];
  }
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
    last,
    'START',
    `sed -i -e "s|@out@|$out|g" -e "s|@nodejs@|$nodejs|" -e "s|@bash@|$bash|" -e "s|@coreutils@|$coreutils|g" $out/bin/${program}`,
    `chmod 755 $out/bin/${program}`,
  ];
}
