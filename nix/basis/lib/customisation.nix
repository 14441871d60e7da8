lib: rec {
  makeOverridable = f: lib.mirrorFunctionArgs f (origArgs:
    let
      result = f origArgs;
      overrideWith = newArgs: origArgs // (if lib.isFunction newArgs then newArgs origArgs else newArgs);
      override = newArgs: makeOverridable f (overrideWith newArgs);
      overrideResult = g: makeOverridable (lib.mirrorFunctionArgs f (args: g (f args))) origArgs;
    in
    if builtins.isAttrs result then
      result // {
        inherit override;
        overrideDerivation = fdrv: overrideResult (x: overrideDerivation x fdrv);
      } // lib.optionalAttrs (result ? overrideAttrs) {
        overrideAttrs = fdrv: overrideResult (x: x.overrideAttrs fdrv);
      }
    else if lib.isFunction result then lib.setFunctionArgs result (lib.functionArgs result) // { inherit override; }
    else result);

  overrideDerivation = drv: f: drv.overrideAttrs f;

  callPackageWith = autoArgs: fn: args:
    let
      f = if lib.isFunction fn then fn else import fn;
      fargs = lib.functionArgs f;
      given = builtins.intersectAttrs fargs autoArgs // args;
      missing = builtins.filter (name: !fargs.${name} && !(given ? ${name})) (builtins.attrNames fargs);
      where = if builtins.isPath fn || builtins.isString fn then toString fn else "a function";
    in
    if missing == [ ] then makeOverridable f given
    else throw "the basis has no ${builtins.concatStringsSep ", " missing}, which ${where} asks for as an argument (see `kiln basis list` for what it has)";

  callPackagesWith = autoArgs: fn: args:
    let
      f = if lib.isFunction fn then fn else import fn;
      given = builtins.intersectAttrs (lib.functionArgs f) autoArgs // args;
    in
    builtins.mapAttrs (name: _: makeOverridable (newArgs: (f newArgs).${name}) given) (f given);

  makeScope = newScope: f:
    let
      self = f self // {
        newScope = scope: newScope (self // scope);
        callPackage = self.newScope { };
        overrideScope = g: makeScope newScope (lib.extends g f);
        packages = f;
      };
    in self;

  extendDerivation = condition: passthru: drv: drv // passthru // { outPath = assert condition; drv.outPath; };
  hydraJob = drv: drv;
  lazyDerivation = { derivation, meta ? derivation.meta or { }, passthru ? { }, ... }: derivation // passthru // { inherit meta; };
}
