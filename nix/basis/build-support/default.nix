# Functions that make derivations.
self:
let
  inherit (self) lib;
in
import ./trivial-builders.nix self
// import ./fetchers.nix self
// {
  makeSetupHook = { name ? "hook", propagatedBuildInputs ? [ ], substitutions ? { }, meta ? { }, passthru ? { } }: script:
    self.runCommandLocal name ({ inherit meta passthru; } // substitutions) ''
      mkdir -p $out/nix-support
      substituteAll ${script} $out/nix-support/setup-hook
      ${lib.optionalString (propagatedBuildInputs != [ ]) "echo ${toString propagatedBuildInputs} > $out/nix-support/propagated-build-inputs"}
    '';
  makeWrapper = self.makeSetupHook { name = "make-shell-wrapper-hook"; substitutions = { shell = "${self.bash}/bin/bash"; }; } ./make-wrapper.sh;
  makeShellWrapper = self.makeWrapper;
  makeBinaryWrapper = self.makeWrapper;
  installShellFiles = self.makeSetupHook { name = "install-shell-files"; } ./install-shell-files.sh;
  autoPatchelfHook = self.makeSetupHook { name = "auto-patchelf-hook"; substitutions = { glibc = "${self.glibc}"; gccLib = "${self.libgcc}"; }; } ./auto-patchelf.sh;
  removeReferencesTo = self.writeShellScriptBin "remove-references-to" ''
    targets=()
    while [ "$1" = -t ]; do targets+=("$2"); shift 2; done
    for file in "$@"; do
      for target in "''${targets[@]}"; do
        base=''${target##*/}
        ${self.gnused}/bin/sed -i "s|''${base:0:32}|eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee|g" "$file"
      done
    done
  '';
  mkShell = import ./mk-shell.nix self self.stdenv;
  mkShellNoCC = import ./mk-shell.nix self self.stdenvNoCC;
  dockerTools = import ./docker-tools.nix self;
  formats = import ./formats.nix self;
  nix-gitignore = { gitignoreSource = _: src: lib.cleanSource src; gitignoreSourcePure = _: src: lib.cleanSource src; };
  testers = { };
  fakeNss = self.symlinkJoin {
    name = "fake-nss";
    paths = [
      (self.writeTextDir "etc/passwd" "root:x:0:0:root user:/var/empty:/bin/sh\nnobody:x:65534:65534:nobody:/var/empty:/bin/sh\n")
      (self.writeTextDir "etc/group" "root:x:0:\nnobody:x:65534:\n")
      (self.writeTextDir "etc/nsswitch.conf" "hosts: files dns\n")
    ];
  };
}
