# The files that everything is made of, as fixed-output derivations. None of them can be built: Kiln fetches them with the
# distribution's own client, checks them, and puts them into the store before a build that needs them.
{ lock, system }:
let
  locked = lock.systems.${system} or (throw ''
    the basis has no lock for the system ${system}; it has ${toString (builtins.attrNames lock.systems)}.
    Write one with: kiln basis lock --system ${system}'');

  provided = { name, kind, source, mode, hash }:
    derivation ({
      inherit name system;
      builder = "/bin/sh";
      args = [ "-c" "echo '${name} is not in the store. Kiln fetches it before a build: use kiln build.' >&2; exit 1" ];
      outputHashMode = mode;
      outputHash = hash;
      kilnProvide = kind;
      kilnSource = builtins.toJSON source;
      preferLocalBuild = true;
      # A substituter would be asked for every single file in vain.
      allowSubstitutes = false;
    } // (if builtins.substring 0 7 hash == "sha256-" || builtins.substring 0 7 hash == "sha512-" then { } else { outputHashAlgo = "sha256"; }));

  debSource = name: let deb = locked.debs.${name}; in {
    inherit name;
    inherit (deb) version architecture sha256 size filename suite;
  };
in
{
  inherit locked;

  deb = name: let deb = locked.debs.${name}; in provided {
    name = deb.file;
    kind = "deb";
    source = debSource name;
    mode = "flat";
    hash = deb.sha256;
  };

  npm = attribute: let package = locked.npm.${attribute}; in provided {
    name = package.file;
    kind = "npm";
    source = { inherit (package) package version integrity; };
    mode = "flat";
    hash = package.integrity;
  };

  # A directory, because BusyBox finds its applet by the file name that it is called by.
  busybox = provided {
    name = "busybox";
    kind = "busybox";
    source = debSource locked.busybox.deb;
    mode = "recursive";
    hash = locked.busybox.narHash;
  };
}
