# What units are unpacked and relocated with: a shell, the usual tools and patchelf in one prefix that nothing refers to later.
# Built by the static BusyBox alone. Its programs find their libraries by an RPATH, which also holds for the libraries' own.
{ sources, system }:
let
  packages = [
    "bash" "coreutils" "findutils" "grep" "sed" "tar" "xz-utils" "patchelf"
    "libc6" "libgcc-s1" "libstdc++6" "libacl1" "libattr1" "libselinux1" "libpcre2-8-0" "libgmp10" "libssl3t64"
    "libtinfo6" "liblzma5" "zlib1g" "libzstd1" "libcap2" "libsystemd0"
  ];
in
derivation {
  name = "basis-bootstrap-tools";
  inherit system;
  builder = "${sources.busybox}/bin/busybox";
  args = [ "sh" "-e" ./tools.sh ];
  busybox = sources.busybox;
  debs = map sources.deb packages;
}
