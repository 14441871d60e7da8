/** Shell lines that install an application's packages in the sandbox, out of what was downloaded. */
import type { ManagerProgram } from '../dependencies/manager-program.ts';
import type { NodeDependencies } from '../dependencies/node-dependencies.ts';
import { shellWord } from '../nix-text.ts';

/** A registry of what was downloaded, on a port of the sandbox's own network. */
const SERVE = [
  'node $prepare serve $dependencies > $TMPDIR/registry &',
  'registry=$!',
  'while [ ! -s $TMPDIR/registry ]; do sleep 0.1; done',
];

/** Package managers among the build's tools. */
export function managerTools({ manager, program }: NodeDependencies): readonly string[] {
  if (program !== undefined) return [];
  return manager === 'yarn' ? ['pkgs.yarn'] : manager === 'pnpm' ? ['pkgs.pnpm'] : [];
}

/** Installs everything, then runs the packages' own scripts. */
export function installDependencies({ manager, program }: NodeDependencies): readonly string[] {
  const relocate = [
    'node $prepare programs $nodejs/bin/node',
    'if [ -d .system-libraries ]; then export LD_LIBRARY_PATH=$PWD/.system-libraries; fi',
  ];
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
    case 'yarn-berry':
      return [
        ...unpackProgram('yarn', program),
        ...SERVE,
        'export npm_config_offline=false YARN_NPM_REGISTRY_SERVER=$(cat $TMPDIR/registry) YARN_UNSAFE_HTTP_WHITELIST=127.0.0.1',
        'export YARN_IGNORE_PATH=1 YARN_NODE_LINKER=node-modules YARN_ENABLE_SCRIPTS=false YARN_ENABLE_TELEMETRY=0 YARN_ENABLE_HARDENED_MODE=0',
        'export YARN_ENABLE_GLOBAL_CACHE=false YARN_CACHE_FOLDER=$TMPDIR/yarn YARN_ENABLE_COLORS=0 YARN_ENABLE_PROGRESS_BARS=false',
        'yarn install --immutable',
        ...relocate,
        'npm rebuild --no-progress',
        'npm run postinstall --if-present',
      ];
    case 'pnpm':
      return [
        ...unpackProgram('pnpm', program),
        ...SERVE,
        '# Its scripts for programs need tools that are not in the image; links need none.',
        'export npm_config_prefer_symlinked_executables=true',
        'export npm_config_store_dir=$TMPDIR/pnpm npm_config_offline=false npm_config_registry=$(cat $TMPDIR/registry) npm_config_manage_package_manager_versions=false',
        'pnpm install --frozen-lockfile --ignore-scripts --store-dir $TMPDIR/pnpm --package-import-method copy --reporter append-only',
        'kill $registry || true',
        ...relocate,
        'pnpm rebuild',
        'npm run postinstall --if-present',
      ];
  }
}

/** Removes packages for development. */
export function pruneDependencies({ manager }: NodeDependencies): readonly string[] {
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
    case 'yarn-berry':
      return [
        'mkdir $TMPDIR/whole',
        'mv node_modules $TMPDIR/whole/',
        '# Without its command for this, which yarn 2 and 3 have as a plug-in, everything stays.',
        'if yarn workspaces focus --production; then mkdir -p node_modules; node $prepare restore $TMPDIR/whole; else rm -rf node_modules; mv $TMPDIR/whole/node_modules .; fi',
        'kill $registry || true',
        'node $prepare clean',
      ];
    case 'pnpm':
      return ['npm_config_ignore_scripts=true pnpm prune --prod', 'node $prepare clean'];
  }
}

/** Puts the program on PATH under its name. */
function unpackProgram(name: string, program: ManagerProgram | undefined): readonly string[] {
  if (program === undefined) return [];
  const { download, file } = program;
  const folder = download === undefined ? '$PWD' : '$TMPDIR/manager/package';
  return [
    'mkdir -p $TMPDIR/manager/bin',
    ...(download === undefined
      ? []
      : [
          `tar xzf "$(node $prepare tarball $dependencies ${shellWord(download.location)})" -C $TMPDIR/manager`,
        ]),
    `echo "#!$bash/bin/bash" > $TMPDIR/manager/bin/${name}`,
    `echo "exec $nodejs/bin/node ${folder}/${file} \\"\\$@\\"" >> $TMPDIR/manager/bin/${name}`,
    `chmod 755 $TMPDIR/manager/bin/${name}`,
    'export PATH=$TMPDIR/manager/bin:$PATH',
  ];
}
