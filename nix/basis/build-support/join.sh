# joinTree FROM TO: links the entries of FROM into TO. A directory is one link until a second tree has it too; the first
# tree wins over later ones for files.
joinTree() {
  local from=$1 to=$2 entry name existing
  if [ ! -e "$to" ] && [ ! -L "$to" ]; then mkdir -p "$to"; fi
  local entries=()
  shopt -s nullglob dotglob
  entries=("$from"/*)
  shopt -u nullglob dotglob
  for entry in "${entries[@]}"; do
    name=${entry##*/}
    if [ -d "$entry" ] && [ -L "$to/$name" ] && [ -d "$to/$name" ]; then
      existing=$(readlink -f "$to/$name")
      rm "$to/$name"
      mkdir "$to/$name"
      joinTree "$existing" "$to/$name"
      joinTree "$entry" "$to/$name"
    elif [ -d "$entry" ] && [ -d "$to/$name" ]; then
      joinTree "$entry" "$to/$name"
    elif [ ! -e "$to/$name" ] && [ ! -L "$to/$name" ]; then
      ln -s "$entry" "$to/$name"
    fi
  done
}
