# Packages that are more than a unit.
{ lib, units, sources }:
self:
let
  python = self.callPackage ./python.nix { inherit units; };
  callNode = attribute: self.callPackage ./nodejs.nix { inherit sources attribute; gccLib = units.gcc-lib; };
  npmProgram = attribute: self.callPackage ./npm-program.nix { inherit sources attribute; };
in
{
  busybox = let version = lib.last (builtins.match "([0-9]+:)?([0-9.]+).*" sources.locked.debs.${sources.locked.busybox.deb}.version); in self.runCommandLocal "busybox-${version}" { pname = "busybox"; inherit version; meta.mainProgram = "busybox"; } ''
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

  python313 = python;
  python3 = self.python313;
  python = self.python3;
  python3Full = self.python3;
  python3Minimal = self.python3;
  python3Packages = self.python3.pkgs;
  python313Packages = self.python3.pkgs;

  go = self.runCommandLocal "go-${units.go.version}"
    {
      pname = "go";
      inherit (units.go) version;
      passthru = { GOOS = "linux"; };
      meta.mainProgram = "go";
      setupHook = self.writeText "go-setup-hook" ''
        export GOTOOLCHAIN=local GOFLAGS=''${GOFLAGS--mod=mod} GOCACHE=''${GOCACHE-$TMPDIR/go-cache} GOPATH=''${GOPATH-$TMPDIR/go} GOTELEMETRY=off
      '';
    } ''
    mkdir -p $out/bin $out/nix-support
    for tool in go gofmt; do ln -s ${units.go}/lib/go-1.24/bin/$tool $out/bin/$tool; done
    ln -s ${units.go}/lib/go-1.24 $out/share
    cp $setupHook $out/nix-support/setup-hook
  '';
  go_1_24 = self.go;
  buildGoModule = self.callPackage ./go-module.nix { };
  buildGo124Module = self.buildGoModule;

  git = self.runCommandLocal "git-${units.git.version}"
    { pname = "git"; inherit (units.git) version; nativeBuildInputs = [ self.makeWrapper ]; meta.mainProgram = "git"; } ''
    mkdir -p $out/bin
    ln -s ${units.git}/libexec ${units.git}/share $out/
    # The folders that Debian compiled in.
    for program in git git-upload-pack git-receive-pack git-upload-archive git-shell; do
      makeWrapper ${units.git}/bin/$program $out/bin/$program --set-default GIT_EXEC_PATH ${units.git}/lib/git-core --set-default GIT_TEMPLATE_DIR ${units.git}/share/git-core/templates
    done
  '';
  gitMinimal = self.git;
  buildNpmPackage = self.callPackage ./npm-package.nix { };
}
