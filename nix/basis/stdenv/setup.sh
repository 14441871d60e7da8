# The generic builder: environment, phases and the functions that packages call in them. Names follow nixpkgs's manual
# (chapter "The Standard Environment"). Runs in bash inside Nix's sandbox.
set -eu -o pipefail
shopt -s inherit_errexit

# --- small things that packages use
echoCmd() { printf '%s:' "$1"; shift; printf ' %q' "$@"; echo; }
nixLog() { echo "$*" >&2; }
# A hook is a variable with shell lines, a function, or both; arrays of the same name hold more.
_callImplicitHook() {
  local default=$1 name=$2
  if declare -F "$name" > /dev/null; then "$name"
  elif [ -n "${!name:-}" ]; then eval "${!name}"
  else return "$default"; fi
}
runHook() {
  local name=$1 extra
  shift
  local -n list="${name%Hook}Hooks"
  for extra in "_callImplicitHook 0 $name" ${list+"${list[@]}"}; do eval "$extra" "$@"; done
}
runOneHook() { runHook "$@"; }
stripHash() {
  local name=${1##*/}
  [[ $name =~ ^[a-z0-9]{32}- ]] && name=${name:33}
  echo "$name"
}
addToSearchPathWithCustomDelimiter() {
  local delimiter=$1 variable=$2 dir=$3
  [ -d "$dir" ] || return 0
  case "$delimiter${!variable:-}$delimiter" in *"$delimiter$dir$delimiter"*) return 0 ;; esac
  export "$variable=${!variable:+${!variable}$delimiter}$dir"
}
addToSearchPath() { addToSearchPathWithCustomDelimiter ":" "$@"; }
prependToVar() { local -n variable=$1; shift; variable="$* ${variable:-}"; }
appendToVar() { local -n variable=$1; shift; variable="${variable:-} $*"; }
concatTo() {
  local -n _target=$1
  shift
  local name word
  for name in "$@"; do
    name=${name%%=*}
    [ -n "${!name:-}" ] || continue
    if [[ $(declare -p "$name" 2>/dev/null) == 'declare -a'* ]]; then local -n _array=$name; _target+=("${_array[@]}")
    else for word in ${!name}; do _target+=("$word"); done; fi
  done
}
isELF() { local magic; IFS= read -r -N 4 -d '' magic < "$1" 2>/dev/null || true; [ "$magic" = $'\x7fELF' ]; }
isScript() { local magic; IFS= read -r -N 2 -d '' magic < "$1" 2>/dev/null || true; [ "$magic" = '#!' ]; }
getAllOutputNames() { echo "${outputs:-out}"; }

# substitute IN OUT --replace-fail OLD NEW | --replace-warn | --replace | --subst-var NAME | --subst-var-by NAME VALUE …
substitute() {
  local input=$1 output=$2 text old new how
  shift 2
  [ -f "$input" ] || { echo "substitute: $input does not exist" >&2; return 1; }
  IFS= read -r -d '' text < "$input" || true
  while [ $# -gt 0 ]; do
    how=$1
    case $how in
      --replace | --replace-fail | --replace-warn | --replace-quiet) old=$2 new=$3; shift 3 ;;
      --subst-var) old=@$2@ new=${!2}; shift 2 ;;
      --subst-var-by) old=@$2@ new=$3; shift 3 ;;
      *) echo "substitute: unknown argument $how" >&2; return 1 ;;
    esac
    if [[ $text != *"$old"* ]]; then
      case $how in
        --replace-fail) echo "substitute: $input does not hold $old" >&2; return 1 ;;
        --replace | --replace-warn) echo "substitute: warning: $input does not hold $old" >&2 ;;
      esac
    fi
    text=${text//"$old"/"$new"}
  done
  printf '%s' "$text" > "$output"
}
substituteInPlace() {
  local files=() file
  while [ $# -gt 0 ] && [[ $1 != --* ]]; do files+=("$1"); shift; done
  for file in "${files[@]}"; do
    substitute "$file" "$file.substituted" "$@"
    cat "$file.substituted" > "$file"
    rm "$file.substituted"
  done
}
substituteAll() {
  local names=() name
  for name in $(compgen -e); do [[ $name =~ ^[a-z][A-Za-z0-9_]*$ ]] && names+=(--subst-var "$name"); done
  substitute "$1" "$2" "${names[@]}"
}
substituteAllInPlace() { substituteAll "$1" "$1.substituted"; mv "$1.substituted" "$1"; }

# Points `#!` lines to the programs of PATH, which holds what the build was given.
patchShebangs() {
  local file line program argument rest found count=0
  while [ $# -gt 0 ] && [[ $1 == --* ]]; do shift; done
  while IFS= read -r -d '' file; do
    isScript "$file" || continue
    IFS= read -r line < "$file" || true
    read -r program argument rest <<< "${line#'#!'}" || true
    case $program in
      "${NIX_STORE:-/nix/store}"/*) continue ;;
      */env)
        if [ "$argument" = -S ]; then argument=${rest%% *}; rest=${rest#"$argument"}; fi
        program=$argument argument=$rest ;;
      *) argument="$argument${rest:+ $rest}" ;;
    esac
    found=$(type -P "${program##*/}") || continue
    local time
    time=$(stat -c %Y "$file")
    [ -w "$file" ] || chmod u+w "$file"
    sed -i "1s|.*|#!$found${argument:+ ${argument# }}|" "$file"
    touch -d "@$time" "$file"
    count=$((count + 1))
    if [ "$count" -le 5 ]; then echo "$file: interpreter directive changed from \"${line}\" to \"#!$found${argument:+ $argument}\""; fi
  done < <(find "$@" -type f -perm -0100 -print0 2>/dev/null)
  if [ "$count" -gt 5 ]; then echo "and $((count - 5)) more interpreter directives below $*"; fi
}

# --- dependencies
declare -A _seenInput
_addInput() {
  local input=$1 propagated
  [ -n "$input" ] && [ -z "${_seenInput[$input]-}" ] || return 0
  _seenInput[$input]=1
  if [ -f "$input" ]; then source "$input"; return 0; fi
  # What the build asks for comes before what every build has.
  if [ -d "$input/bin" ]; then
    _inputPath=${_inputPath:+$_inputPath:}$input/bin
    PATH=$_inputPath:$_basePath
  fi
  addToSearchPath PKG_CONFIG_PATH "$input/lib/pkgconfig"
  addToSearchPath PKG_CONFIG_PATH "$input/share/pkgconfig"
  addToSearchPath ACLOCAL_PATH "$input/share/aclocal"
  addToSearchPath XDG_DATA_DIRS "$input/share"
  local dir
  for dir in "$input/include" "$input"/include/*-linux-gnu; do [ -d "$dir" ] && export NIX_CFLAGS_COMPILE="${NIX_CFLAGS_COMPILE:-} -isystem $dir"; done
  [ -d "$input/lib" ] && export NIX_LDFLAGS="${NIX_LDFLAGS:-} -L$input/lib"
  if [ -d "$input/include" ] || [ -d "$input/lib/cmake" ]; then addToSearchPath CMAKE_PREFIX_PATH "$input"; fi
  addToSearchPath GI_TYPELIB_PATH "$input/lib/girepository-1.0"
  local hook
  for hook in ${envHooks+"${envHooks[@]}"}; do "$hook" "$input"; done
  for propagated in propagated-build-inputs propagated-native-build-inputs; do
    [ -f "$input/nix-support/$propagated" ] || continue
    for dir in $(< "$input/nix-support/$propagated"); do _addInput "$dir"; done
  done
  if [ -f "$input/nix-support/setup-hook" ]; then source "$input/nix-support/setup-hook"; fi
}
declare -a envHooks=() preConfigureHooks=() fixupOutputHooks=() preFixupHooks=() postFixupHooks=() unpackCmdHooks=() postUnpackHooks=() preBuildHooks=() postInstallHooks=() prePhases_=()
addEnvHooks() { shift; envHooks+=("$@"); }

PATH=
for _path in $initialPath; do addToSearchPath PATH "$_path/bin"; done
_basePath=$PATH _inputPath=
if [ -n "${cc:-}" ]; then
  export CC=gcc CXX=g++ AR=ar LD=ld RANLIB=ranlib STRIP=strip NM=nm OBJCOPY=objcopy OBJDUMP=objdump READELF=readelf AS=as
fi
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-315532800}
export CONFIG_SHELL=$shell SHELL=$shell TZ=UTC ZERO_AR_DATE=1
export NIX_STORE=${NIX_STORE:-/nix/store} NIX_BUILD_CORES=${NIX_BUILD_CORES:-1}
if [ "$NIX_BUILD_CORES" = 0 ]; then NIX_BUILD_CORES=$(nproc); fi
: "${outputs:=out}"
export HOME=${HOME:-/homeless-shelter}
for _input in ${nativeBuildInputs:-} ${buildInputs:-} ${propagatedNativeBuildInputs:-} ${propagatedBuildInputs:-} ${nativeCheckInputs:-} ${checkInputs:-} ${cc:-}; do
  _addInput "$_input"
done
export PATH
if [ -n "${out:-}" ]; then export NIX_LDFLAGS="-rpath ${lib:-$out}/lib ${NIX_LDFLAGS:-}"; fi
: "${prefix:=${out:-}}"

# --- phases
unpackFile() {
  local file=$1
  if [ -d "$file" ]; then
    cp -r --preserve=mode,timestamps --reflink=auto -- "$file" "$(stripHash "$file")"
    return
  fi
  case $file in
    *.tar | *.tar.* | *.tgz | *.tbz2 | *.txz | *.tbz | *.tzst) tar xf "$file" --mode=+w --warning=no-timestamp ;;
    *.zip | *.jar) unzip -qq "$file" ;;
    *.deb) busybox ar p "$file" data.tar.xz | tar xJ ;;
    *)
      local hook
      for hook in "${unpackCmdHooks[@]}"; do "$hook" "$file" && return; done
      echo "unpackPhase: no way to unpack $file" >&2
      return 1 ;;
  esac
}
unpackPhase() {
  runHook preUnpack
  if [ -z "${src:-}" ] && [ -z "${srcs:-}" ]; then
    echo 'variable $src or $srcs should point to the source' >&2
    return 1
  fi
  local before=" $(echo */) " file dir
  for file in ${srcs:-$src}; do
    echo "unpacking source archive $file"
    if [ -n "${unpackCmd:-}" ]; then curSrc=$file; eval "$unpackCmd"; else unpackFile "$file"; fi
  done
  if [ -n "${setSourceRoot:-}" ]; then eval "$setSourceRoot"
  elif [ -z "${sourceRoot:-}" ]; then
    for dir in */; do
      [ -d "$dir" ] || continue
      case $before in *" $dir "*) continue ;; esac
      if [ -n "${sourceRoot:-}" ]; then echo "unpackPhase: the sources made several directories; set sourceRoot" >&2; return 1; fi
      sourceRoot=${dir%/}
    done
  fi
  [ -n "${sourceRoot:-}" ] || { echo "unpackPhase: the source made no directory" >&2; return 1; }
  echo "source root is $sourceRoot"
  [ -n "${dontMakeSourcesWritable:-}" ] || chmod -R u+w -- "$sourceRoot"
  runHook postUnpack
}
patchPhase() {
  runHook prePatch
  local file
  for file in ${patches:-}; do
    echo "applying patch $file"
    case $file in
      *.gz) gzip -d < "$file" ;; *.xz) xz -d < "$file" ;; *.bz2) bzip2 -d < "$file" ;; *) cat "$file" ;;
    esac | patch ${patchFlags:--p1}
  done
  runHook postPatch
}
configurePhase() {
  runHook preConfigure
  if [ -z "${configureScript:-}" ] && [ -x ./configure ]; then configureScript=./configure; fi
  if [ -n "${configureScript:-}" ]; then
    local flags=()
    [ -n "${dontAddPrefix:-}" ] || flags+=("${prefixKey:---prefix=}$prefix")
    concatTo flags configureFlags configureFlagsArray
    patchShebangs ./configure > /dev/null
    echoCmd 'configure flags' "${flags[@]}"
    $configureScript "${flags[@]}"
  else
    echo "no configure script, doing nothing"
  fi
  runHook postConfigure
}
_hasMakefile() { [ -n "${makefile:-}" ] || [ -e Makefile ] || [ -e makefile ] || [ -e GNUmakefile ]; }
_make() {
  local flags=(${makefile:+-f "$makefile"} "SHELL=$shell")
  if [ -n "${_parallel:-}" ]; then flags+=("-j$NIX_BUILD_CORES"); fi
  concatTo flags makeFlags makeFlagsArray "$@"
  echoCmd 'make flags' "${flags[@]}"
  make "${flags[@]}"
}
buildPhase() {
  runHook preBuild
  if _hasMakefile; then
    _parallel=${enableParallelBuilding:-} _make buildFlags buildFlagsArray
  else
    echo "no Makefile or custom buildPhase, doing nothing"
  fi
  runHook postBuild
}
checkPhase() {
  runHook preCheck
  if _hasMakefile; then
    if [ -z "${checkTarget:-}" ]; then
      if make -n ${makefile:+-f "$makefile"} check > /dev/null 2>&1; then checkTarget=check
      elif make -n ${makefile:+-f "$makefile"} test > /dev/null 2>&1; then checkTarget=test; fi
    fi
    if [ -n "${checkTarget:-}" ]; then _parallel=${enableParallelChecking:-} _make checkFlags checkFlagsArray checkTarget
    else echo "no check or test target in the Makefile, doing nothing"; fi
  fi
  runHook postCheck
}
# nixpkgs stops without a Makefile because nothing makes $out. Here the source becomes the output then: a repository
# without a build step (a script, a site) is its own result.
installPhase() {
  runHook preInstall
  if _hasMakefile; then
    [ -z "$prefix" ] || mkdir -p "$prefix"
    installTargets=${installTargets:-install}
    _parallel=${enableParallelInstalling:-} _make installFlags installFlagsArray installTargets
  elif [ ! -e "$out" ]; then
    echo "no Makefile, no installPhase and no \$out: copying the source to $out"
    mkdir -p "$out"
    cp -r --preserve=mode,timestamps . "$out/"
  fi
  runHook postInstall
}
fixupPhase() {
  local output dir
  for output in $(getAllOutputNames); do [ -e "${!output}" ] && chmod -R u+w,u-s,g-s -- "${!output}" 2> /dev/null || true; done
  runHook preFixup
  for output in $(getAllOutputNames); do
    [ -e "${!output}" ] || continue
    local prefix=${!output}
    runHook fixupOutput
  done
  if [ -n "${propagatedBuildInputs:-}${propagatedNativeBuildInputs:-}" ]; then
    mkdir -p "${dev:-$out}/nix-support"
    echo "${propagatedBuildInputs:-} ${propagatedNativeBuildInputs:-}" > "${dev:-$out}/nix-support/propagated-build-inputs"
  fi
  if [ -n "${setupHook:-}" ]; then
    mkdir -p "${dev:-$out}/nix-support"
    substituteAll "$setupHook" "${dev:-$out}/nix-support/setup-hook"
  fi
  runHook postFixup
}
_fixShebangs() { [ -n "${dontPatchShebangs:-}" ] || [ ! -d "$prefix" ] || patchShebangs "$prefix"; }
_fixSbin() {
  if [ -z "${dontMoveSbin:-}" ] && [ -d "$prefix/sbin" ] && [ ! -L "$prefix/sbin" ]; then
    mkdir -p "$prefix/bin"
    mv "$prefix"/sbin/* "$prefix/bin/" && rmdir "$prefix/sbin" && ln -s bin "$prefix/sbin"
  fi
}
_fixElf() {
  [ -d "$prefix" ] || return 0
  local file
  while IFS= read -r -d '' file; do
    isELF "$file" || continue
    if [ -n "${cc:-}" ] && [ -z "${dontStrip:-}" ]; then strip --strip-debug --enable-deterministic-archives "$file" 2> /dev/null || true; fi
    if [ -z "${dontPatchELF:-}" ]; then patchelf --shrink-rpath "$file" 2> /dev/null || true; fi
  done < <(find "$prefix" -type f \( -perm /111 -o -name '*.so*' \) ! -path '*/node_modules/*' -print0)
}
_fixDocs() {
  local dir
  if [ -z "${forceShare:-}" ]; then
    for dir in man doc info; do
      if [ -d "$prefix/$dir" ]; then mkdir -p "$prefix/share"; mv "$prefix/$dir" "$prefix/share/"; fi
    done
  fi
}
fixupOutputHooks+=(_fixSbin _fixDocs _fixShebangs _fixElf)
installCheckPhase() {
  runHook preInstallCheck
  if _hasMakefile && make -n installcheck > /dev/null 2>&1; then _make installCheckFlags; fi
  runHook postInstallCheck
}
distPhase() {
  runHook preDist
  _make distFlags
  runHook postDist
}

showPhaseHeader() {
  case $1 in
    unpackPhase) echo "Running phase: unpackPhase" ;;
    *) echo "Running phase: $1" ;;
  esac
}
runPhase() {
  local curPhase=$1
  case $curPhase in
    unpackPhase) [ -z "${dontUnpack:-}" ] || return 0 ;;
    patchPhase) [ -z "${dontPatch:-}" ] || return 0 ;;
    configurePhase) [ -z "${dontConfigure:-}" ] || return 0 ;;
    buildPhase) [ -z "${dontBuild:-}" ] || return 0 ;;
    checkPhase) [ -n "${doCheck:-}" ] || return 0 ;;
    installPhase) [ -z "${dontInstall:-}" ] || return 0 ;;
    fixupPhase) [ -z "${dontFixup:-}" ] || return 0 ;;
    installCheckPhase) [ -n "${doInstallCheck:-}" ] || return 0 ;;
    distPhase) [ -n "${doDist:-}" ] || return 0 ;;
  esac
  showPhaseHeader "$curPhase"
  # A line that Nix shows as what the build does now.
  if [ -n "${NIX_LOG_FD:-}" ]; then echo "@nix { \"action\": \"setPhase\", \"phase\": \"$curPhase\" }" >&"$NIX_LOG_FD"; fi
  if [ -n "${!curPhase:-}" ]; then eval "${!curPhase}"; else "$curPhase"; fi
  if [ "$curPhase" = unpackPhase ]; then
    [ -z "${sourceRoot:-}" ] || chmod +x -- "$sourceRoot"
    cd -- "${sourceRoot:-.}"
  fi
}
genericBuild() {
  local phase
  if [ -n "${buildCommandPath:-}" ]; then source "$buildCommandPath"; return; fi
  if [ -n "${buildCommand:-}" ]; then eval "$buildCommand"; return; fi
  if [ -z "${phases:-}" ]; then
    phases="${prePhases:-} unpackPhase patchPhase ${preConfigurePhases:-} configurePhase ${preBuildPhases:-} buildPhase checkPhase ${preInstallPhases:-} installPhase ${preFixupPhases:-} fixupPhase installCheckPhase ${preDistPhases:-} distPhase ${postPhases:-}"
  fi
  for phase in $phases; do runPhase "$phase"; done
}
runHook addInputsHook
eval "${postHook:-}"
# Phases and shells of packages are written without care for unset variables.
set +u
