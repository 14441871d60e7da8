# stdenv: the tools that every build has, and mkDerivation.
{ lib, config, system, shell, initialPath, cc, tools }:
let
  hostPlatform = lib.systems.elaborate system;

  setup = derivation {
    name = if cc == null then "stdenv-no-cc" else "stdenv";
    inherit system;
    builder = shell;
    args = [ "-e" "-c" ''
      export PATH=${tools}/bin
      mkdir -p $out/nix-support
      {
        echo "shell=${shell}"
        echo "initialPath='${toString initialPath}'"
        ${lib.optionalString (cc != null) ''echo "cc=${cc}"''}
        cat ${./setup.sh}
      } > $out/setup
    '' ];
  };

  # Attributes that describe the package and are not for the builder.
  removed = [ "meta" "passthru" "env" "pos" "__darwinAllowLocalNetworking" "__impureHostDeps" "__propagatedImpureHostDeps" ];

  mkDerivation = fnOrAttrs:
    if builtins.isFunction fnOrAttrs then
      let
        final = make (fnOrAttrs final.finalArgs) (f: extendFunction fnOrAttrs f);
      in
      final.drv
    else
      (make fnOrAttrs (f: extendFunction (_: fnOrAttrs) f)).drv;

  # `overrideAttrs` takes attributes, `old: attributes` or `final: old: attributes`.
  extendFunction = rattrs: f:
    mkDerivation (final:
      let
        old = rattrs final;
        applied = f old;
        result =
          if !lib.isFunction f then f
          else if lib.isFunction applied then f final old
          else applied;
      in
      old // result);

  make = attrs: override:
    let
      outputs = attrs.outputs or [ "out" ];
      name =
        if attrs ? name then attrs.name
        else if attrs ? pname then "${attrs.pname}-${attrs.version or (throw "the package ${attrs.pname} has no version")}"
        else throw "mkDerivation needs name, or pname and version";
      clean = builtins.filter (x: x != null && x != [ ] && x != false);
      inputs = key: lib.flatten (clean (lib.flatten (attrs.${key} or [ ])));
      # The development output and the programs.
      listOf = list: lib.concatMap (x: if x == null || x == false then [ ] else if x ? dev && !(x.outputSpecified or false) then [ (lib.getBin x) x.dev ] else [ x ]) (lib.flatten list);
      given = builtins.removeAttrs attrs removed;
      structured = attrs.__structuredAttrs or false;
      env = builtins.mapAttrs (_: v: if builtins.isBool v then lib.optionalString v "1" else v) (attrs.env or { });
      base = given // env // {
        name = lib.strings.sanitizeDerivationName name;
        inherit system outputs;
        stdenv = setup;
        builder = if attrs ? realBuilder then attrs.realBuilder else shell;
        args = attrs.args or (if attrs ? builder then [ "-e" attrs.builder ] else [ "-e" ./default-builder.sh ]);
        nativeBuildInputs = listOf (inputs "nativeBuildInputs");
        buildInputs = listOf (inputs "buildInputs");
        propagatedBuildInputs = listOf (inputs "propagatedBuildInputs");
        propagatedNativeBuildInputs = listOf (inputs "propagatedNativeBuildInputs");
        patches = inputs "patches";
        doCheck = attrs.doCheck or false;
        doInstallCheck = attrs.doInstallCheck or false;
        strictDeps = attrs.strictDeps or false;
      }
      // lib.optionalAttrs (attrs ? checkInputs) { checkInputs = lib.optionals (attrs.doCheck or false) (listOf (inputs "checkInputs")); }
      // lib.optionalAttrs (attrs ? nativeCheckInputs) { nativeCheckInputs = lib.optionals (attrs.doCheck or false) (listOf (inputs "nativeCheckInputs")); }
      // lib.optionalAttrs (attrs ? src && attrs.src ? _isLibCleanSourceWith) { src = attrs.src.outPath; };
      drvArgs = builtins.removeAttrs (if structured then throw "the package ${name} uses __structuredAttrs, which the basis does not have" else base) [ "realBuilder" ];
      raw = derivation drvArgs;
      passthru = (attrs.passthru or { });
      meta = { name = drvArgs.name; outputsToInstall = [ (if builtins.elem "bin" outputs then "bin" else builtins.head outputs) ]; available = true; broken = false; insecure = false; unfree = false; unsupported = false; }
        // (attrs.meta or { });
      common = passthru // {
        inherit meta outputs stdenv passthru;
        inherit (drvArgs) name;
        overrideAttrs = override;
        inputDerivation = raw;
      } // builtins.intersectAttrs { pname = 1; version = 1; src = 1; } attrs // perOutput;
      perOutput = builtins.listToAttrs (map
        (o: { name = o; value = raw.${o} // common // { outputSpecified = true; outputName = o; }; })
        outputs);
      drv = raw // common;
      finalArgs = attrs // { finalPackage = drv; inherit meta; inherit (drvArgs) name; };
    in
    { inherit drv finalArgs; };

  stdenv = setup // {
    inherit mkDerivation shell initialPath hostPlatform system;
    cc = if cc == null then throw "stdenvNoCC has no compiler" else cc;
    hasCC = cc != null;
    buildPlatform = hostPlatform;
    targetPlatform = hostPlatform;
    inherit (hostPlatform) isLinux isDarwin isUnix isx86_64 isAarch64 isAarch32 isi686 isx86_32 is64bit is32bit isBigEndian isLittleEndian isRiscV isCygwin isFreeBSD isBSD;
    isCross = false;
    overrides = _: _: { };
    override = _: stdenv;
    allowedRequisites = null;
  };
in
stdenv
