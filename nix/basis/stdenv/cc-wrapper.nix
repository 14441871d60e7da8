# The compiler as `gcc`, `g++`, `cc`, `ld` …: Debian's, told where the C library is, and with programs' interpreter and
# RUNPATH pointing into the store.
{ system, shell, tools, gcc, binutils, glibc, glibcDev, gccLib, coreutils, version }:
derivation {
  name = "gcc-wrapper-${version}";
  pname = "gcc-wrapper";
  inherit system version shell gcc binutils glibc glibcDev gccLib coreutils;
  builder = shell;
  args = [ "-e" ./cc-wrapper.sh ];
  inherit tools;
  ccScript = ./cc.sh;
  ldScript = ./ld.sh;
} // { inherit version; pname = "gcc-wrapper"; cc = gcc; libc = glibc; bintools = binutils; isGNU = true; isClang = false; targetPrefix = ""; lib = gccLib; meta.mainProgram = "gcc"; }
