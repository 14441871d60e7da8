# A unit: one or more Debian packages, unpacked into one store path and made to work there. References between units are
# those of the files (interpreter, RPATH, links, shebangs), so closures are what a program really needs.
{ sources, tools, system }:
let
  inherit (sources) locked;

  # Units that the shell of patched scripts is made of cannot refer to it.
  shellClosure = closure [ ] "bash";
  closure = seen: name:
    if builtins.elem name seen then seen else builtins.foldl' closure (seen ++ [ name ]) locked.units.${name}.needs;

  unit = name: { debs, needs, version }:
    derivation {
      name = "${safe name}-${version}";
      pname = safe name;
      inherit system version;
      builder = "${tools}/bin/bash";
      args = [ "-e" ./unit.sh ];
      unit = name;
      triplet = builtins.replaceStrings [ "-linux" ] [ "-linux-gnu" ] system;
      debs = map sources.deb debs;
      needs = map (need: units.${need}) needs;
      # Interpreter paths in scripts; perl and python only where the package asks for them.
      shell = if builtins.elem name shellClosure then "" else units.bash;
      propagated = map (need: units.${need}) (builtins.filter isDevelopment needs);
      glibc = if name == "glibc" then "" else units.glibc;
      # Compiles the modules of Python packages.
      python = if builtins.match "python3-.*" name != null && builtins.match ".*-whl" name == null then units.python313 else "";
      inherit tools;
      fixup = fixups.${name} or "";
    } // {
      inherit version;
      pname = name;
      needNames = needs;
      meta = { description = "Debian's ${toString debs}"; mainProgram = name; };
    };

  fixups = import ./fixups.nix;
  isDevelopment = name: builtins.match ".*-(multi)?dev" name != null && name != "glibc-dev";
  safe = name: builtins.replaceStrings [ ":" "~" ] [ "-" "-" ] name;
  units = builtins.mapAttrs unit locked.units;
in
units
