self:
let
  inherit (self) lib stdenv stdenvNoCC bash coreutils;
  shell = "${bash}/bin/bash";
  runWith = stdenv: local: name: env: command:
    stdenv.mkDerivation ({
      inherit name;
      buildCommand = command;
      passAsFile = [ "buildCommand" ] ++ (env.passAsFile or [ ]);
    } // lib.optionalAttrs local { preferLocalBuild = true; allowSubstitutes = false; } // builtins.removeAttrs env [ "passAsFile" ]);
in
rec {
  runtimeShell = shell;
  runtimeShellPackage = bash;
  runCommand = runWith stdenvNoCC false;
  runCommandLocal = runWith stdenvNoCC true;
  runCommandNoCC = runCommand;
  runCommandCC = runWith stdenv false;
  runCommandWith = { name, stdenv ? stdenvNoCC, runLocal ? false, derivationArgs ? { } }: runWith stdenv runLocal name derivationArgs;

  writeTextFile = { name, text, executable ? false, destination ? "", checkPhase ? "", meta ? { }, passthru ? { }, allowSubstitutes ? false, preferLocalBuild ? true, derivationArgs ? { } }:
    stdenvNoCC.mkDerivation ({
      inherit name text executable checkPhase allowSubstitutes preferLocalBuild passthru;
      passAsFile = [ "text" ];
      meta = lib.optionalAttrs (executable && lib.hasPrefix "/bin/" destination) { mainProgram = lib.removePrefix "/bin/" destination; } // meta;
      buildCommand = ''
        target=$out${lib.escapeShellArg destination}
        mkdir -p "$(dirname "$target")"
        cp "$textPath" "$target"
        if [ -n "$executable" ]; then chmod +x "$target"; fi
        eval "$checkPhase"
      '';
    } // derivationArgs);
  writeText = name: text: writeTextFile { inherit name text; };
  writeTextDir = path: text: writeTextFile { name = baseNameOf path; inherit text; destination = "/${path}"; };
  writeScript = name: text: writeTextFile { inherit name text; executable = true; };
  writeScriptBin = name: text: writeTextFile { inherit name text; executable = true; destination = "/bin/${name}"; };
  writeShellScript = name: text: writeTextFile { inherit name; executable = true; text = "#!${shell}\n${text}\n"; checkPhase = "${shell} -n \"$target\""; };
  writeShellScriptBin = name: text: writeTextFile { inherit name; executable = true; destination = "/bin/${name}"; text = "#!${shell}\n${text}\n"; checkPhase = "${shell} -n \"$target\""; };
  writeShellApplication =
    { name, text, runtimeInputs ? [ ], runtimeEnv ? { }, meta ? { }, passthru ? { }, checkPhase ? null, excludeShellChecks ? [ ], extraShellCheckFlags ? [ ], bashOptions ? [ "errexit" "nounset" "pipefail" ], derivationArgs ? { }, inheritPath ? true }:
    writeTextFile {
      inherit name passthru derivationArgs;
      meta = { mainProgram = name; } // meta;
      executable = true;
      destination = "/bin/${name}";
      text = "#!${shell}\n" + lib.concatMapStrings (o: "set -o ${o}\n") bashOptions
        + lib.concatStrings (lib.mapAttrsToList (k: v: "${lib.toShellVar k v}\nexport ${k}\n") runtimeEnv)
        + lib.optionalString (runtimeInputs != [ ]) "export PATH=\"${lib.makeBinPath runtimeInputs}${lib.optionalString inheritPath ":$PATH"}\"\n"
        + "\n${text}\n";
      checkPhase = if checkPhase != null then checkPhase else "${shell} -n -O extglob \"$target\"";
    };
  concatTextFile = { name, files, executable ? false, destination ? "" }:
    runCommandLocal name { inherit files executable; } ''
      target=$out${destination}
      mkdir -p "$(dirname "$target")"
      cat $files > "$target"
      if [ -n "$executable" ]; then chmod +x "$target"; fi
    '';
  concatText = name: files: concatTextFile { inherit name files; };
  writeClosure = paths: writeReferencesToFile paths;
  writeReferencesToFile = paths: derivationWithGraph paths;
  derivationWithGraph = paths:
    runCommand "runtime-deps" { exportReferencesGraph = lib.concatMap (p: [ "graph-${builtins.hashString "sha256" (toString p)}" p ]) (lib.toList paths); } ''
      cat graph-* | grep '^/nix/store' | sort -u > $out
    '';

  symlinkJoin = args@{ name ? "${args.pname}-${args.version}", paths, preferLocalBuild ? true, allowSubstitutes ? false, postBuild ? "", stripPrefix ? "", ... }:
    runCommand name (builtins.removeAttrs args [ "name" "paths" "postBuild" "pname" "version" "stripPrefix" ] // {
      pathList = builtins.filter (p: p != null) (lib.flatten paths);
      inherit preferLocalBuild allowSubstitutes;
      joinScript = ./join.sh;
    }) ''
      source "$joinScript"
      mkdir -p $out
      for path in $pathList; do joinTree "$path${stripPrefix}" "$out"; done
      ${postBuild}
    '';
  buildEnv =
    { name, paths, pathsToLink ? [ "/" ], extraPrefix ? "", ignoreCollisions ? false, postBuild ? "", extraOutputsToInstall ? [ ], buildInputs ? [ ], nativeBuildInputs ? [ ], passthru ? { }, meta ? { }, ... }:
    runCommand name {
      inherit pathsToLink buildInputs nativeBuildInputs passthru meta ignoreCollisions;
      pathList = builtins.filter (p: p != null) (lib.flatten paths);
      joinScript = ./join.sh;
      preferLocalBuild = true;
      allowSubstitutes = false;
    } ''
      source "$joinScript"
      mkdir -p $out${extraPrefix}
      for path in $pathList; do
        for part in $pathsToLink; do
          [ -e "$path$part" ] || continue
          mkdir -p "$(dirname "$out${extraPrefix}$part")"
          joinTree "''${path}''${part%/}" "$out${extraPrefix}''${part%/}"
        done
      done
      ${postBuild}
    '';
  linkFarm = name: entries:
    let list = if builtins.isAttrs entries then lib.mapAttrsToList (name: path: { inherit name path; }) entries else entries; in
    runCommandLocal name { passthru.entries = builtins.listToAttrs (map (e: { inherit (e) name; value = e.path; }) list); } ''
      mkdir -p $out
      cd $out
      ${lib.concatMapStrings (e: "mkdir -p ${lib.escapeShellArg (dirOf e.name)}\nln -s ${lib.escapeShellArg "${e.path}"} ${lib.escapeShellArg e.name}\n") list}
    '';
  linkFarmFromDrvs = name: drvs: linkFarm name (map (d: { inherit (d) name; path = d; }) drvs);
  onlyBin = drv: buildEnv { name = "${drv.name}-only-bin"; paths = [ drv ]; pathsToLink = [ "/bin" ]; };
  emptyFile = writeText "empty-file" "";
  emptyDirectory = runCommandLocal "empty-directory" { } "mkdir $out";
  srcOnly = drv: stdenvNoCC.mkDerivation { name = "${drv.name}-source"; inherit (drv) src; installPhase = "cp -r . $out"; dontFixup = true; };
  substitute = { src, substitutions ? [ ], name ? baseNameOf (toString src), ... }: runCommandLocal name { } "substitute ${src} $out ${lib.escapeShellArgs substitutions}";
  replaceVars = src: vars: runCommandLocal (baseNameOf (toString src)) { } "substitute ${src} $out ${lib.concatStringsSep " " (lib.mapAttrsToList (k: v: "--subst-var-by ${k} ${lib.escapeShellArg "${toString v}"}") vars)}";
  applyPatches = { src, name ? "source-patched", patches ? [ ], postPatch ? "", ... }: stdenvNoCC.mkDerivation { inherit src name patches postPatch; dontConfigure = true; dontBuild = true; dontFixup = true; installPhase = "cp -R . $out"; };
}
