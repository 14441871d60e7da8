# Manual pages and completions; unknown kinds are refused by name.
installManPage() {
  local page section
  for page in "$@"; do
    case $page in --*) continue ;; esac
    section=${page%.gz}
    section=${section##*.}
    mkdir -p "$out/share/man/man$section"
    cp "$page" "$out/share/man/man$section/"
  done
}
installShellCompletion() {
  local kind='' name='' cmd='' file
  while [ $# -gt 0 ]; do
    case $1 in
      --bash | --zsh | --fish) kind=${1#--} ;;
      --name) name=$2; shift ;;
      --cmd) cmd=$2; shift ;;
      --) ;;
      *)
        file=$1
        local target=${name:-$(stripHash "$file")} dir
        case ${kind:-${file##*.}} in
          bash) dir=bash-completion/completions target=${cmd:-${target%.bash}} ;;
          zsh) dir=zsh/site-functions target=_${cmd:-${target#_}} ;;
          fish) dir=fish/vendor_completions.d target=${cmd:-${target%.fish}}.fish ;;
          *) echo "installShellCompletion: say --bash, --zsh or --fish for $file" >&2; return 1 ;;
        esac
        mkdir -p "$out/share/$dir"
        cat "$file" > "$out/share/$dir/$target"
        name='' ;;
    esac
    shift
  done
}
installBin() { mkdir -p "$out/bin"; install -m755 "$@" "$out/bin/"; }
