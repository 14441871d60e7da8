#!@shell@
# Adds the C library, and a RUNPATH entry for the real directory of each shared library that is linked.
dirs=() libraries=() shared= static= relocatable= interpreter=1
arguments=("$@")
extra=(${NIX_LDFLAGS_BEFORE:-})
read -r -a given <<< "${NIX_LDFLAGS:-}" || true
scan() {
  while [ $# -gt 0 ]; do
    case $1 in
      -L) dirs+=("$2"); shift ;;
      -L*) dirs+=("${1#-L}") ;;
      -l) libraries+=("$2"); shift ;;
      -l*) libraries+=("${1#-l}") ;;
      -r | --relocatable | -i) relocatable=1 ;;
      -static | -static-pie) static=1 ;;
      -shared) shared=1 ;;
      /*.so | /*.so.*) libraries+=("$1") ;;
      @*)
        # A response file: one argument per word, as GCC writes them.
        if [ -f "${1#@}" ]; then local words; mapfile -t words < <(@coreutils@/bin/tr -s ' \n' '\n' < "${1#@}"); scan "${words[@]}"; fi ;;
    esac
    shift
  done
}
scan "$@"
if [ -n "$relocatable" ]; then exec @program@ "$@"; fi
scan "${given[@]}"
dirs+=(@glibcDev@/lib @glibc@/lib @gccLib@/lib)
runpath=()
if [ -z "$static" ]; then
  declare -A seen
  add() {
    [ -n "${seen[$1]-}" ] && return
    seen[$1]=1
    runpath+=(-rpath "$1")
  }
  isElf() { local magic; IFS= read -r -N 4 -d '' magic < "$1" 2> /dev/null; LC_ALL=C; [ "$magic" = $'\x7fELF' ]; }
  files=()
  for name in "${libraries[@]}"; do
    case $name in
      /*) file=$name ;;
      *)
        file=
        for dir in "${dirs[@]}"; do
          for candidate in "$dir/lib$name.so" "$dir/${name#:}"; do
            if [ -f "$candidate" ]; then file=$candidate; break 2; fi
          done
        done ;;
    esac
    [ -f "$file" ] && isElf "$file" && files+=("$file")
  done
  if [ ${#files[@]} -gt 0 ]; then
    while IFS= read -r real; do
      case $real in /nix/store/*) add "${real%/*}" ;; esac
    done < <(@coreutils@/bin/realpath -- "${files[@]}")
  fi
  add @glibc@/lib
  add @gccLib@/lib
  if [ -z "$shared" ]; then extra+=(-dynamic-linker @loader@); fi
fi
# The last -dynamic-linker counts; GCC has named the installed system's before.
exec @program@ "$@" "${extra[@]}" "${given[@]}" -L@glibcDev@/lib -L@glibc@/lib -L@gccLib@/lib "${runpath[@]}"
