# All packages, as a function of the final set. Each attribute is evaluated on its own.
{ lib, lock, config, system }:
self:
let
  sources = import ../bootstrap/sources.nix { inherit lock system; };
  tools = import ../bootstrap/tools.nix { inherit sources system; };
  units = import ../bootstrap/units.nix { inherit sources tools system; };
  callPackage = lib.callPackageWith self;
  shell = "${units.bash}/bin/bash";
  initialPath = with units; [ bash coreutils sed grep gawk findutils diffutils tar gzip xz bzip2 make patch patchelf ];
  makeStdenv = cc: import ../stdenv/make-stdenv.nix { inherit lib config system shell initialPath cc tools; };
in
{
  inherit lib callPackage system config;
  pkgs = self;
  callPackages = lib.callPackagesWith self;
  newScope = extra: lib.callPackageWith (self // extra);
  path = ../.;
  buildPackages = self;
  targetPackages = self;
  pkgsBuildHost = self;
  pkgsHostTarget = self;
  inherit (self.stdenv) hostPlatform buildPlatform targetPlatform;
  # Packages and everything of the lock by Debian's name, e.g. `debian.libuv1-dev`.
  debian = units;
  basis = { inherit sources tools units lock; };

  stdenv = makeStdenv self.gcc;
  stdenvNoCC = makeStdenv null;
  gccStdenv = self.stdenv;
  gcc = import ../stdenv/cc-wrapper.nix {
    inherit system shell tools;
    inherit (units) gcc binutils glibc coreutils;
    glibcDev = units.glibc-dev;
    gccLib = units.gcc-lib;
    version = units.gcc.version;
  };
}
// import ./aliases.nix { inherit lib units; } self
// import ./languages.nix { inherit lib units sources; } self
// import ../build-support self
