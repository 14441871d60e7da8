export PATH=$tools/bin
mkdir -p "$out/bin"
loader=
for file in "$glibc"/lib/ld-linux*; do loader=$file; done
fill() {
  sed -e "s|@shell@|$shell|g" -e "s|@program@|$1|g" -e "s|@out@|$out|g" -e "s|@gcc@|$gcc|g" -e "s|@glibc@|$glibc|g" -e "s|@glibcDev@|$glibcDev|g" \
    -e "s|@gccLib@|$gccLib|g" -e "s|@binutils@|$binutils|g" -e "s|@loader@|$loader|g" -e "s|@coreutils@|$coreutils|g" -e "s|@cxx@|$3|g" "$2"
}
for file in "$binutils"/bin/*; do
  case ${file##*/} in *-linux-gnu-*) continue ;; esac
  ln -s "$file" "$out/bin/"
done
for file in "$gcc"/bin/{cpp,gcc-ar,gcc-nm,gcc-ranlib,gcov}; do [ -e "$file" ] && ln -s "$file" "$out/bin/"; done
rm -f "$out/bin/ld" "$out/bin/ld.bfd" "$out/bin/cpp"
fill "$binutils/bin/ld" "$ldScript" "" > "$out/bin/ld"
ln -s ld "$out/bin/ld.bfd"
for name in gcc cc; do fill "$gcc/bin/gcc" "$ccScript" "" > "$out/bin/$name"; done
for name in g++ c++; do fill "$gcc/bin/g++" "$ccScript" 1 > "$out/bin/$name"; done
fill "$gcc/bin/cpp" "$ccScript" "" > "$out/bin/cpp"
chmod +x "$out"/bin/{gcc,cc,g++,c++,cpp,ld}
