# The basis: a small package set with nixpkgs's names and shapes whose sources are Debian packages, usable as `<nixpkgs>`.
{ system ? builtins.currentSystem or "x86_64-linux"
, localSystem ? null
, crossSystem ? null
, overlays ? [ ]
, config ? { }
, # A lock to use instead of the one beside this file.
  lockFile ? ./lock.json
, ...
}:
let
  lib = import ./lib;
  lock = builtins.fromJSON (builtins.readFile lockFile);
  system' = if localSystem == null then system else if builtins.isString localSystem then localSystem else localSystem.system;
  base = import ./packages { inherit lib lock config; system = system'; };
  extensions = lib.composeManyExtensions overlays;
  pkgs = lib.fix (lib.extends extensions (self: base self // {
    appendOverlays = extra: import ./. { inherit config lockFile; system = system'; overlays = overlays ++ extra; };
    extend = overlay: pkgs.appendOverlays [ overlay ];
    inherit overlays;
  }));
in
if crossSystem != null then throw "the basis does not build for other systems than its own" else pkgs
