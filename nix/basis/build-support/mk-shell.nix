# A development environment: `nix-shell` and `nix develop` enter it; building it writes its inputs down.
self: stdenv:
{ name ? "nix-shell", packages ? [ ], inputsFrom ? [ ], buildInputs ? [ ], nativeBuildInputs ? [ ], shellHook ? "", ... }@attrs:
let
  inherit (self) lib;
  from = key: lib.concatMap (d: d.${key} or [ ]) inputsFrom;
in
stdenv.mkDerivation (builtins.removeAttrs attrs [ "packages" "inputsFrom" ] // {
  inherit name;
  buildInputs = buildInputs ++ from "buildInputs";
  nativeBuildInputs = packages ++ nativeBuildInputs ++ from "nativeBuildInputs";
  shellHook = lib.concatStringsSep "\n" (builtins.filter (x: x != "") (map (d: d.shellHook or "") inputsFrom ++ [ shellHook ]));
  phases = [ "buildPhase" ];
  buildPhase = ''
    { echo "# Written by mkShell; see nix develop."; export -p; } > "$out"
  '';
  preferLocalBuild = true;
})
