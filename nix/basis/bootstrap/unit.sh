# Unpacks Debian packages into $out as one prefix and makes their files refer to the store; see units.nix.
# /usr and / are the same tree; the multiarch directory becomes lib itself.
export PATH=$tools/bin LC_ALL=C
shopt -s nullglob dotglob
work=$PWD
mkdir -p "$work/root" "$out"

for deb in $debs; do
  "$tools/bin/busybox" ar p "$deb" data.tar.xz | tar -xJ --no-same-owner --exclude='./usr/share/doc/*' --exclude='./usr/share/man/*' --exclude='./usr/share/info/*' \
    --exclude='./usr/share/locale/*' --exclude='./usr/share/lintian/*' --exclude='./usr/share/bash-completion/*' --exclude='./usr/share/bug/*' \
    --exclude='./usr/share/doc-base/*' --exclude='./usr/share/gdb/*' --exclude='./usr/lib/debug/*' --exclude='./usr/share/apport/*' -C "$work/root" -f -
done
chmod -R u+w "$work/root"

# Where a path of the installed system is inside a prefix.
place() {
  local path=$1
  path=${path#/usr}
  case $path in
    /lib/*-linux-gnu | /lib64) path=/lib ;;
    /lib/*-linux-gnu/*) path=/lib/${path#/lib/*-linux-gnu/} ;;
    /lib64/*) path=/lib/${path#/lib64/} ;;
    /sbin) path=/bin ;;
    /sbin/*) path=/bin/${path#/sbin/} ;;
    /games/*) path=/bin/${path#/games/} ;;
  esac
  REPLY=${path#/}
}

merge() {
  [ -d "$1" ] || return 0
  mkdir -p "$2"
  cp -a --no-preserve=ownership "$1/." "$2/"
  rm -rf "$1"
}
cd "$work/root"
# Headers for other machines.
for dir in usr/include/*-linux-*; do [ "$dir" = "usr/include/$triplet" ] || rm -rf "$dir"; done
for dir in usr/lib/linux/uapi/*; do
  case $triplet:${dir##*/} in x86_64-*:x86 | aarch64-*:arm64) ;; *) rm -rf "$dir" ;; esac
done

# The absolute path that a link in directory $1 to $2 stands for, without `.` and `..`.
resolveLink() {
  local path=$2 part parts=() kept=()
  case $path in /*) ;; *) path=$1/$path ;; esac
  IFS=/ read -r -a parts <<< "$path"
  for part in "${parts[@]}"; do
    case $part in
      '' | .) ;;
      ..) [ ${#kept[@]} = 0 ] || unset 'kept[-1]' ;;
      *) kept+=("$part") ;;
    esac
  done
  local IFS=/
  REPLY=/${kept[*]}
}
# Links are noted before anything moves, as the paths they stand for on an installed system.
declare -A linkTarget
while IFS= read -r -d '' link && IFS= read -r -d '' target; do
  case $link in */*) directory=/${link%/*} ;; *) directory= ;; esac
  resolveLink "$directory" "$target"
  target=$REPLY
  place "/$link"
  linkTarget[$REPLY]=$target
done < <(find . -type l -printf '%P\0%l\0')
find . -type l -delete

for prefix in usr .; do
  for dir in "$prefix"/lib/*-linux-gnu; do merge "$dir" "$out/lib"; done
  merge "$prefix/lib64" "$out/lib"
  merge "$prefix/sbin" "$out/bin"
  merge "$prefix/games" "$out/bin"
  for dir in bin lib include share libexec etc; do merge "$prefix/$dir" "$out/$dir"; done
done
for dir in boot opt; do merge "$dir" "$out/$dir"; done
find "$out" -depth -type d -empty -delete
mkdir -p "$out"
cd "$out"

# Finds a path of the installed system in this unit or those it needs.
locate() {
  place "$1"
  local flat=$REPLY prefix
  for prefix in "$out" $needs; do
    if [ -e "$prefix/$flat" ] || [ -L "$prefix/$flat" ]; then
      REPLY=$prefix/$flat
      return 0
    fi
  done
  if [ -n "${linkTarget[$flat]-}" ]; then
    REPLY=$out/$flat
    return 0
  fi
  return 1
}

for link in "${!linkTarget[@]}"; do
  target=${linkTarget[$link]}
  [ -e "$link" ] && continue
  [ -d "${link%/*}" ] || mkdir -p "${link%/*}"
  if locate "$target"; then
    found=$REPLY
    if [ "${found#"$out"/}" != "$found" ]; then
      [ "$found" = "$out/$link" ] || ln -s "$found" "$link"
    else
      ln -s "$found" "$link"
      # A program linked here by the library's plain name looks for its versioned name at run time.
      case $link in
        lib/*.so)
          soname=${target##*/}
          for prefix in $needs; do
            for file in "$prefix/lib/${link##*/}".*; do [ -e "lib/${file##*/}" ] || ln -s "$file" "lib/${file##*/}"; done
          done ;;
      esac
    fi
  else
    echo "left out: $link -> $target (not in this package's closure)"
  fi
done

# --- programs and libraries. --no-sort, because patchelf 0.18 breaks programs at fixed addresses when it sorts their headers.
declare -A libraryDir
findLibrary() {
  local name=$1 prefix file
  if [ -n "${libraryDir[$name]-}" ]; then
    REPLY=${libraryDir[$name]}
    return 0
  fi
  for prefix in "$out" $glibc $needs; do
    if [ -e "$prefix/lib/$name" ]; then
      REPLY=$(dirname "$(readlink -f "$prefix/lib/$name")")
      # A link may lead into another unit; a library of this one is found where it is.
      [ "$prefix" = "$out" ] && [ ! -L "$prefix/lib/$name" ] && REPLY=$out/lib
      libraryDir[$name]=$REPLY
      return 0
    fi
  done
  for prefix in "$out" $needs; do
    file=$(find "$prefix/lib" -name "$name" -print -quit 2>/dev/null)
    if [ -n "$file" ]; then
      REPLY=$(dirname "$file")
      libraryDir[$name]=$REPLY
      return 0
    fi
  done
  return 1
}

if [ "$unit" != glibc ]; then
  loader=
  for file in "$glibc"/lib/ld-linux*; do loader=$file; done
  while IFS= read -r -d '' file; do
    magic=
    IFS= read -r -N 4 -d '' magic < "$file" || true
    [ "$magic" = $'\x7fELF' ] || continue
    needed=$(patchelf --print-needed "$file" 2>/dev/null) || continue
    interpreter=$(patchelf --print-interpreter "$file" 2>/dev/null) || interpreter=
    [ -n "$needed$interpreter" ] || continue
    rpath=
    for name in $needed; do
      case $name in ld-linux*) continue ;; esac
      if findLibrary "$name"; then
        case ":$rpath:" in *":$REPLY:"*) ;; *) rpath=${rpath:+$rpath:}$REPLY ;; esac
      else
        echo "not found: $name, needed by $file"
      fi
    done
    mode=$(stat -c %a "$file")
    chmod u+w "$file"
    if [ -n "$interpreter" ]; then
      patchelf --no-sort --set-interpreter "$loader" --set-rpath "$rpath" "$file"
    elif [ -n "$rpath" ]; then
      patchelf --no-sort --set-rpath "$rpath" "$file"
    fi
    chmod "$mode" "$file"
  done < <(find . -type f \( -perm /111 -o -name '*.so' -o -name '*.so.*' \) ! -name '*.ko*' -printf '%P\0')
fi

# --- scripts: the interpreter of this unit or of one it needs
while IFS= read -r -d '' file; do
  line=
  IFS= read -r -n 200 line 2>/dev/null < "$file" || true
  case $line in '#!'*) ;; *) continue ;; esac
  read -r program argument rest <<< "${line#'#!'}"
  case $program in
    */env) program=$argument argument=$rest ;;
    *) argument="$argument${rest:+ $rest}" ;;
  esac
  found=
  for prefix in "$out" $needs $shell; do
    if [ -x "$prefix/bin/${program##*/}" ]; then
      found=$prefix/bin/${program##*/}
      break
    fi
  done
  [ -n "$found" ] || continue
  sed -i "1s|.*|#!$found${argument:+ $argument}|" "$file"
done < <(find . -type f -perm /111 -size -512k -printf '%P\0' 2>/dev/null | xargs -0 -r grep -lIZ -m1 '^#!' 2>/dev/null || true)

# --- descriptions of libraries
for file in lib/pkgconfig/*.pc share/pkgconfig/*.pc; do
  [ -L "$file" ] && continue
  sed -i -e "s|/usr/lib/[a-z0-9_]*-linux-gnu|$out/lib|g" -e "s|\${prefix}/lib/[a-z0-9_]*-linux-gnu|\${prefix}/lib|g" -e "s|/usr\b|$out|g" "$file"
done

# --- Debian's certifi knows only the installed system's certificates
certificates=
for prefix in $needs; do
  if [ -e "$prefix/etc/ssl/certs/ca-bundle.crt" ]; then certificates=$prefix/etc/ssl/certs/ca-bundle.crt; fi
done
if [ -n "$certificates" ]; then
  find lib -path '*/certifi/core.py' -exec sed -i "s|/etc/ssl/certs/ca-certificates.crt|$certificates|g" {} +
fi

eval "$fixup"

# By hash of the source, because all files in the store have the same time.
if [ -n "$python" ]; then
  for dir in lib/python3.13 lib/python3/dist-packages; do
    # -B, -f: what compileall imports itself must not be left with times in it: the next Python that runs as root would write it anew.
    [ ! -d "$dir" ] || PYTHONHASHSEED=0 "$python/bin/python3.13" -B -m compileall -f -q -j1 --invalidation-mode unchecked-hash "$out/$dir" > /dev/null || true
  done
fi

rm -f lib/*.la
if [ -d include ] || [ -d lib/pkgconfig ]; then
  if [ -n "$propagated" ]; then
    mkdir -p nix-support
    echo "$propagated" > nix-support/propagated-build-inputs
  fi
fi
