# Runs under BusyBox's shell; see tools.nix.
bb=$busybox/bin/busybox
$bb mkdir -p root $out/bin $out/lib
for deb in $debs; do
  # The member is xz in all of Debian 13; a package with another one stops here.
  $bb ar p "$deb" data.tar.xz | $bb tar -xJ -C root -f -
done
for dir in root/usr/lib/*-linux-gnu root/lib/*-linux-gnu; do
  [ -d "$dir" ] || continue
  for file in "$dir"/*.so*; do $bb cp -P "$file" $out/lib/; done
done
for dir in root/usr/bin root/bin; do
  [ -d "$dir" ] && $bb cp -P "$dir"/* $out/bin/
done
# Links into directories that were flattened.
for link in $($bb find $out/lib -type l); do
  target=$($bb readlink "$link")
  $bb ln -sfn "${target##*/}" "$link"
done
# Making a program run takes a moment each; these are never called here.
for program in arch b2sum base32 base64 basenc chcon csplit dd df dir dircolors du expand factor fmt fold groups hostid join link logname md5sum mkfifo \
  mknod nice nl nohup numfmt pathchk pinky pr printenv ptx runcon sha1sum sha224sum sha384sum sha512sum shred shuf split stdbuf stty sum sync tac timeout \
  tsort tty unexpand unlink users vdir who whoami yes perl chroot lzmainfo xzdec lzmadec updatedb locate bashbug; do
  $bb rm -f $out/bin/$program
done
loader=
for file in $out/lib/ld-linux*; do loader=$file; done
$bb cp $out/bin/patchelf patchelf
for file in $out/bin/*; do
  [ -L "$file" ] && continue
  [ "$($bb head -c 4 "$file")" = "$($bb printf '\177ELF')" ] || continue
  "$loader" --library-path $out/lib ./patchelf --no-sort --set-interpreter "$loader" --force-rpath --set-rpath $out/lib "$file"
done
$bb ln -sf bash $out/bin/sh
$bb ln -s $bb $out/bin/busybox
$bb ln -s $bb $out/bin/ar
