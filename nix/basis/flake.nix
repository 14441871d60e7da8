{
  description = "Kiln's basis: a small package set with nixpkgs's names, made from Debian packages";
  outputs = { self }:
    let
      lib = import ./lib;
      systems = builtins.attrNames (builtins.fromJSON (builtins.readFile ./lock.json)).systems;
    in
    {
      inherit lib;
      legacyPackages = lib.genAttrs systems (system: import ./. { inherit system; lockFile = ./lock.json; });
    };
}
