# makeWrapper PROGRAM WRAPPER OPTIONS: a shell script that sets variables and arguments, then becomes PROGRAM.
makeWrapper() { makeShellWrapper "$@"; }
makeBinaryWrapper() { makeShellWrapper "$@"; }
makeShellWrapper() {
  local program=$1 wrapper=$2 argv0='"$0"' before='' after='' quoted name separator value
  shift 2
  [ -x "$program" ] || { echo "makeWrapper: $program is not an executable file" >&2; return 1; }
  local lines=()
  while [ $# -gt 0 ]; do
    case $1 in
      --set) printf -v quoted 'export %s=%q' "$2" "$3"; lines+=("$quoted"); shift 3 ;;
      --set-default) printf -v quoted 'export %s=${%s-%q}' "$2" "$2" "$3"; lines+=("$quoted"); shift 3 ;;
      --unset) lines+=("unset $2"); shift 2 ;;
      --chdir) printf -v quoted 'cd %q' "$2"; lines+=("$quoted"); shift 2 ;;
      --run) lines+=("$2"); shift 2 ;;
      --add-flags) before+=" $2"; shift 2 ;;
      --append-flags) after+=" $2"; shift 2 ;;
      --add-flag) printf -v quoted ' %q' "$2"; before+=$quoted; shift 2 ;;
      --append-flag) printf -v quoted ' %q' "$2"; after+=$quoted; shift 2 ;;
      --prefix) printf -v quoted 'export %s=%q${%s:+%q$%s}' "$2" "$4" "$2" "$3" "$2"; lines+=("$quoted"); shift 4 ;;
      --suffix) printf -v quoted 'export %s=${%s:+$%s%q}%q' "$2" "$2" "$2" "$3" "$4"; lines+=("$quoted"); shift 4 ;;
      --prefix-each | --suffix-each) name=$2 separator=$3; for value in $4; do printf -v quoted 'export %s=${%s:+$%s%q}%q' "$name" "$name" "$name" "$separator" "$value"; lines+=("$quoted"); done; shift 4 ;;
      --argv0) printf -v argv0 '%q' "$2"; shift 2 ;;
      --inherit-argv0) shift ;;
      --resolve-argv0) shift ;;
      *) echo "makeWrapper: unknown option $1" >&2; return 1 ;;
    esac
  done
  mkdir -p "$(dirname "$wrapper")"
  {
    echo '#!@shell@ -e'
    printf '%s\n' "${lines[@]}"
    printf 'exec -a %s %q %s "$@" %s\n' "$argv0" "$program" "$before" "$after"
  } > "$wrapper"
  chmod +x "$wrapper"
}
# wrapProgram PROGRAM OPTIONS: PROGRAM moves to .PROGRAM-wrapped and a wrapper takes its place.
wrapProgram() { wrapProgramShell "$@"; }
wrapProgramShell() {
  local program=$1 hidden
  hidden=$(dirname "$program")/.$(basename "$program")-wrapped
  while [ -e "$hidden" ]; do hidden+=_; done
  mv "$program" "$hidden"
  makeShellWrapper "$hidden" "$program" --inherit-argv0 "${@:2}"
}
