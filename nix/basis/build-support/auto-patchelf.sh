# Points foreign programs to the C library and to the libraries of the build's inputs.
autoPatchelf() {
  local file name rpath dir missing
  while IFS= read -r -d '' file; do
    isELF "$file" || continue
    if patchelf --print-interpreter "$file" > /dev/null 2>&1; then patchelf --no-sort --set-interpreter "$(echo @glibc@/lib/ld-linux*)" "$file"; fi
    rpath= missing=
    for name in $(patchelf --print-needed "$file" 2> /dev/null); do
      for dir in "$prefix/lib" @glibc@/lib @gccLib@/lib ${buildInputs//\/nix/ \/nix}; do
        [ -d "$dir/lib" ] && dir=$dir/lib
        if [ -e "$dir/$name" ]; then
          case ":$rpath:" in *":$dir:"*) ;; *) rpath=${rpath:+$rpath:}$dir ;; esac
          continue 2
        fi
      done
      case $name in ld-linux*) ;; *) missing+=" $name" ;; esac
    done
    [ -z "$rpath" ] || patchelf --no-sort --set-rpath "$rpath" "$file"
    if [ -n "$missing" ] && [ -z "${autoPatchelfIgnoreMissingDeps:-}" ]; then
      echo "auto-patchelf: $file needs$missing, which no input has" >&2
      return 1
    fi
  done < <(find "$prefix" -type f -print0)
}
dontStrip=1
fixupOutputHooks+=(autoPatchelf)
