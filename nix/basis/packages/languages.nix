# Packages that are more than a unit.
{ lib, units, sources }:
self:
let
  callNode = attribute: self.callPackage ./nodejs.nix { inherit sources attribute; gccLib = units.gcc-lib; };
  npmProgram = attribute: self.callPackage ./npm-program.nix { inherit sources attribute; };
in
{
  busybox = self.runCommandLocal "busybox-${lib.versions.pad 3 "1.37"}" { passthru.version = "1.37.0"; meta.mainProgram = "busybox"; } ''
    mkdir -p $out/bin
    cp ${sources.busybox}/bin/busybox $out/bin/
    for applet in $($out/bin/busybox --list); do [ "$applet" = busybox ] || ln -s busybox $out/bin/$applet; done
  '';
  binutils = self.gcc;
  gcc14 = self.gcc;
  glibcLocales = units.glibc-bin;
  stdenv_cc = self.gcc;
  cc = self.gcc;

  nodejs_24 = callNode "nodejs_24";
  nodejs_22 = callNode "nodejs_22";
  nodejs_20 = callNode "nodejs_20";
  nodejs = self.nodejs_24;
  nodejs-slim = self.nodejs.override { withNpm = false; };
  nodejs_latest = self.nodejs_24;
  nodePackages = self.nodejs.pkgs;
  npm = npmProgram "npm";
  yarn = npmProgram "yarn";
  pnpm = npmProgram "pnpm";
  pnpm_10 = self.pnpm;
  corepack = npmProgram "corepack";
  typescript = npmProgram "typescript";
}
