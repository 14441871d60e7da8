/** Writes the Nix expression of template `python`. */
import { dependencyExpression } from '../dependencies/dependency-set.ts';
import { nixLines, nixString } from '../nix-text.ts';
import { enterLines, execLine } from './start-script.ts';
import type { DependencySet } from './template.ts';

export interface PythonExpressionOptions {
  readonly name: string;
  readonly version: string;
  /** `3.13`. */
  readonly python: string;
  readonly set: DependencySet | undefined;
  readonly requirements: readonly string[];
  /** It runs in a copy of its folder. */
  readonly writable: boolean;
  /** Some package is built from its sources. */
  readonly compiles: boolean;
  /** The application is a package that is installed beside its files. */
  readonly installsProject: boolean;
  readonly start: string;
  readonly command?: string;
  readonly test?: string;
}

export function pythonExpression(options: PythonExpressionOptions): string {
  const { name, set, python } = options;
  return `# Written by Kiln (template python).
{ pkgs ? import <nixpkgs> { }, src ? ./. }:
let
  python = pkgs.python${python.replace('.', '')} or pkgs.python3;
${set === undefined ? '' : `  packages = ${dependencyExpression(set, '  ')};\n`}in
pkgs.${options.compiles ? 'stdenv' : 'stdenvNoCC'}.mkDerivation {
  pname = ${nixString(name)};
  version = ${nixString(options.version.replace(/[^\w.+-]/g, '-'))};
  src = builtins.path { path = src; name = "source"; };
  nativeBuildInputs = [ python pkgs.patchelf ];
  inherit python;
${set === undefined ? '' : '  inherit packages;\n'}  bash = pkgs.bash;
${options.writable ? '  coreutils = pkgs.coreutils;\n' : ''}  libraries = [ (pkgs.stdenv.cc.cc.lib or pkgs.libgcc) pkgs.zlib ];
  dontConfigure = true;
  dontBuild = true;
  dontStrip = true;
  dontPatchELF = true;
  dontPatchShebangs = true;
  installPhase = ${nixLines(installLines(options), '  ')};
  meta.mainProgram = ${nixString(name)};
}
`;
}

function installLines(options: PythonExpressionOptions): string {
  const { name, start } = options;
  return [
    'runHook preInstall',
    'export HOME=$TMPDIR PIP_NO_INDEX=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COLOR=1 NO_COLOR=1 PYTHONDONTWRITEBYTECODE=1',
    `app=$out/lib/${name}`,
    'mkdir -p $out/bin $app',
    ...(options.set === undefined ? ['environment=$python'] : installWheels(options)),
    'cp -R . $app/',
    'cd $app',
    'export PATH=$environment/bin:$PATH',
    ...(options.command === undefined ? [] : [options.command]),
    ...(options.test === undefined ? [] : [options.test]),
    'find $out -name __pycache__ -type d -prune -exec rm -rf {} +',
    '# Compiled once here: the store is read-only, and hashes instead of times keep it the same everywhere.',
    'python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash $out/lib > /dev/null || true',
    `cat > $out/bin/${name} <<'START'`,
    '#!@bash@/bin/bash',
    ...enterLines('@app@', options.writable),
    'export PATH=@environment@/bin:@python@/bin${PATH:+:$PATH} PYTHONPATH=$app:$app/src${PYTHONPATH:+:$PYTHONPATH}',
    'export PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PORT="${PORT:-8000}"',
    execLine(withoutRunner(start).replace(/^python(3(\.\d+)?)? /, 'python3 ')),
    'START',
    `sed -i -e "s|@app@|$app|g" -e "s|@environment@|$environment|" -e "s|@python@|$python|" -e "s|@bash@|$bash|" -e "s|@coreutils@|$coreutils|g" $out/bin/${name}`,
    `chmod 755 $out/bin/${name}`,
    'runHook postInstall',
  ].join('\n');
}

/** What a manager of environments would run: the environment is there already. `fastapi dev` watches files. */
function withoutRunner(start: string): string {
  return start
    .replace(
      /(^|[;&|]\s*)(exec +)?(?:uv|poetry|pdm|pipenv|rye|hatch) run +(?:--?[a-z][\w-]*(?:=\S+)? +)*/g,
      '$1$2',
    )
    .replace(/^((?:exec +)?fastapi) dev\b/, '$1 run');
}

function installWheels(options: PythonExpressionOptions): readonly string[] {
  const names = options.requirements.map((line) => line.replace(/ --hash=\S+/g, ''));
  const pip = '-m pip install --quiet --no-compile --no-warn-script-location';
  return [
    `environment=$out/lib/${options.name}-environment`,
    '# pip comes from its own wheel: not every Python has one.',
    'python3 -m zipfile -e $packages/pip-*.whl $TMPDIR/pip',
    'python3 -m venv --without-pip $environment',
    `cat > $TMPDIR/requirements.txt <<'LINES'`,
    ...names,
    'LINES',
    'export PIP_FIND_LINKS="$packages $TMPDIR/wheels"',
    'mkdir $TMPDIR/wheels',
    ...(options.compiles
      ? [
          '# Packages without a wheel; what building them needs comes from the wheels beside them.',
          'export CC=cc CXX=c++ CFLAGS="-I$(echo $python/include/python3*) $CFLAGS"',
          'for sdist in $packages/sdists/*; do',
          '  echo "building $(basename $sdist)"',
          '  PYTHONPATH=$TMPDIR/pip $environment/bin/python3 -m pip wheel --quiet --no-deps --wheel-dir $TMPDIR/wheels "$sdist" || {',
          `    echo "$(basename $sdist) has no wheel for Python ${options.python}, and building it failed. It may be older than this Python: ask for a newer version." >&2`,
          '    exit 1',
          '  }',
          'done',
        ]
      : []),
    `PYTHONPATH=$TMPDIR/pip $environment/bin/python3 ${pip} --requirement $TMPDIR/requirements.txt`,
    ...(options.installsProject
      ? [
          'PYTHONPATH=$TMPDIR/pip $environment/bin/python3 -m pip wheel --quiet --no-deps --wheel-dir $TMPDIR/project .',
          `PYTHONPATH=$TMPDIR/pip $environment/bin/python3 ${pip} --no-deps $TMPDIR/project/*.whl`,
          'rm -rf build *.egg-info',
        ]
      : []),
    'find $environment -name direct_url.json -delete',
    'loader=$(patchelf --print-interpreter $(readlink -f $python/bin/python3))',
    '# patchelf 0.18 sorts headers in a way that some libraries do not survive; older ones do not know the option.',
    'unsorted=; if patchelf --help 2>&1 | grep -q -e --no-sort; then unsorted=--no-sort; fi',
    '# Wheels carry libraries for any Linux; those of the compilers and zlib they expect from the system.',
    'search=$(dirname "$loader")',
    'for library in $libraries; do search=$search:$library/lib; done',
    `find $environment -type f -name '*.so*' | while read -r file; do`,
    '  if patchelf --print-needed "$file" 2> /dev/null | grep -q -E "^(libstdc[+][+]|libgcc_s|libz|lib(rt|dl|pthread|util|resolv))[.]so"; then patchelf $unsorted --add-rpath "$search" "$file"; fi',
    'done',
    `find $environment/bin -type f | while read -r file; do`,
    '  case "$(patchelf --print-interpreter "$file" 2> /dev/null)" in /lib*) patchelf $unsorted --set-interpreter "$loader" "$file" ;; esac',
    'done',
  ];
}
