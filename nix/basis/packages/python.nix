# Python as Debian builds it; environments with packages are virtual environments over it.
{ lib, stdenv, stdenvNoCC, runCommandLocal, bash, units, makeWrapper }:
let
  interpreter = units.python313;
  sitePackages = "lib/python3.13/site-packages";

  # Every Python package of the lock under its own name: `python3-flask` → `flask`; dots and underscores become dashes.
  isPackage = name: lib.hasPrefix "python3-" name && !(lib.hasSuffix "-whl" name);
  shortName = name: let short = lib.removePrefix "python3-" name; in { yaml = "pyyaml"; pil = "pillow"; dotenv = "python-dotenv"; attr = "attrs"; }.${short} or (lib.replaceStrings [ "." "_" ] [ "-" "-" ] short);
  names = builtins.filter isPackage (builtins.attrNames units);
  packages = builtins.listToAttrs (map (name: { name = shortName name; value = package name; }) names);
  package = name: let unit = units.${name}; in unit // {
    pname = shortName name;
    pythonModule = python;
    requiredPythonModules = closure [ ] [ name ];
  };
  needsOf = name: builtins.filter isPackage units.${name}.needNames;
  closure = seen: wanted: builtins.foldl' (acc: name: if builtins.elem name acc then acc else closure (acc ++ [ name ]) (needsOf name)) seen wanted;

  # Modules that come with a package built here.
  modulesOf = drv:
    if drv ? requiredPythonModules && builtins.all builtins.isString drv.requiredPythonModules then map (name: units.${name}) drv.requiredPythonModules
    else [ drv ] ++ lib.concatMap modulesOf (drv.dependencies or [ ]);

  withPackages = f:
    let chosen = lib.unique (lib.concatMap modulesOf (lib.flatten (f (python.pkgs)))); in
    runCommandLocal "python3-${interpreter.version}-env"
      { modules = chosen; pname = "python3-env"; inherit (interpreter) version; passthru = { inherit interpreter python; pkgs = python.pkgs; inherit sitePackages; }; meta.mainProgram = "python3"; } ''
      mkdir -p $out/bin $out/${sitePackages}
      for name in python python3 python3.13; do ln -s ${interpreter}/bin/python3.13 $out/bin/$name; done
      { echo "home = ${interpreter}/bin"; echo "include-system-site-packages = false"; echo "version = ${interpreter.version}"; } > $out/pyvenv.cfg
      for module in $modules; do
        for dir in $module/lib/python3/dist-packages $module/lib/python3.13/dist-packages $module/${sitePackages}; do
          [ -d "$dir" ] || continue
          for entry in "$dir"/* "$dir"/.[a-z]*; do
            [ -e "$entry" ] || continue
            target=$out/${sitePackages}/''${entry##*/}
            # Name spaces that several packages share.
            if [ -d "$entry" ] && [ -d "$target" ]; then
              if [ -L "$target" ]; then old=$(readlink "$target"); rm "$target"; mkdir "$target"; ln -s "$old"/* "$target/"; fi
              ln -sn "$entry"/* "$target/" 2> /dev/null || true
            elif [ ! -e "$target" ]; then ln -s "$entry" "$target"; fi
          done
        done
        if [ -d "$module/bin" ]; then
          for program in "$module"/bin/*; do
            [ -f "$program" ] && [ ! -e "$out/bin/''${program##*/}" ] || continue
            if head -n 1 "$program" | grep -q '^#!.*python'; then
              sed "1s|.*|#!$out/bin/python3|" "$program" > "$out/bin/''${program##*/}"
              chmod +x "$out/bin/''${program##*/}"
            else ln -s "$program" "$out/bin/"; fi
          done
        fi
      done
    '';

  build = application: args@{ pname ? null, version ? "0", dependencies ? [ ], propagatedBuildInputs ? [ ], build-system ? [ ], nativeBuildInputs ? [ ], doCheck ? true, passthru ? { }, pyproject ? null, format ? null, ... }:
    let
      python' = withPackages (_: [ packages.pip packages.setuptools packages.wheel ] ++ build-system ++ dependencies ++ builtins.filter (d: d ? pythonModule) propagatedBuildInputs);
      runtime = withPackages (_: dependencies ++ builtins.filter (d: d ? pythonModule) propagatedBuildInputs);
    in
    stdenv.mkDerivation (builtins.removeAttrs args [ "dependencies" "build-system" "optional-dependencies" "format" "pyproject" "pythonImportsCheck" "propagatedBuildInputs" ] // {
      propagatedBuildInputs = builtins.filter (d: !(d ? pythonModule)) propagatedBuildInputs;
      nativeBuildInputs = [ python' makeWrapper ] ++ nativeBuildInputs;
      doCheck = false;
      doInstallCheck = doCheck && (args ? checkPhase || args ? pytestFlags || args ? installCheckPhase);
      configurePhase = args.configurePhase or "runHook preConfigure; runHook postConfigure";
      buildPhase = args.buildPhase or ''
        runHook preBuild
        export HOME=$TMPDIR
        python3 -m pip wheel --no-index --no-deps --no-build-isolation --no-cache-dir --disable-pip-version-check --wheel-dir dist .
        runHook postBuild
      '';
      installPhase = args.installPhase or ''
        runHook preInstall
        python3 -m pip install --no-index --no-deps --no-cache-dir --no-compile --disable-pip-version-check --no-warn-script-location --ignore-installed --prefix "$out" dist/*.whl
        # Debian's pip installs below local/.
        if [ -d "$out/local" ]; then cp -a "$out/local/." "$out/"; rm -rf "$out/local"; fi
        if [ -d "$out/lib/python3.13/dist-packages" ]; then mv "$out/lib/python3.13/dist-packages" "$out/${sitePackages}"; fi
        # The interpreter that sees what this package needs, and this package.
        for program in "$out"/bin/*; do
          [ -f "$program" ] || continue
          if head -n 1 "$program" | grep -q '^#!.*python'; then
            sed -i "1s|.*|#!${runtime}/bin/python3|" "$program"
            wrapProgram "$program" --prefix PYTHONPATH : "$out/${sitePackages}"
          fi
        done
        runHook postInstall
      '';
      passthru = passthru // { pythonModule = python; inherit dependencies; };
    });

  python = interpreter // {
    pname = "python3";
    inherit withPackages sitePackages interpreter;
    pythonVersion = "3.13";
    pythonAtLeast = lib.versionAtLeast "3.13";
    pythonOlder = lib.versionOlder "3.13";
    libPrefix = "python3.13";
    executable = "python3.13";
    implementation = "cpython";
    isPy3 = true;
    isPy3k = true;
    pkgs = packages // {
      inherit python;
      buildPythonPackage = build false;
      buildPythonApplication = build true;
      toPythonModule = drv: drv // { pythonModule = python; };
      toPythonApplication = drv: drv;
      pythonOlder = lib.versionOlder "3.13";
      callPackage = lib.callPackageWith (packages // { inherit lib stdenv python; });
    };
    buildEnv = { override = { extraLibs ? [ ], ... }: withPackages (_: extraLibs); };
    override = _: python;
    meta = { description = "Python interpreter"; mainProgram = "python3"; platforms = lib.platforms.linux; };
  };
in
python
