# The part of nixpkgs's `lib` that packages, templates and flakes of applications use. Names and meanings are nixpkgs's.
let
  parts = {
    inherit lib;
    trivial = import ./trivial.nix lib;
    lists = import ./lists.nix lib;
    attrsets = import ./attrsets.nix lib;
    strings = import ./strings.nix lib;
    versions = import ./versions.nix lib;
    customisation = import ./customisation.nix lib;
    fixedPoints = import ./fixed-points.nix lib;
    meta = import ./meta.nix lib;
    generators = import ./generators.nix lib;
    sources = import ./sources.nix lib;
    fileset = import ./fileset.nix lib;
    options = import ./options.nix lib;
    licenses = import ./licenses.nix;
    systems = import ./systems.nix lib;
    platforms = lib.systems.platforms;
    maintainers = { };
    fakeHash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    fakeSha256 = "0000000000000000000000000000000000000000000000000000000000000000";
    teams = { };
    sourceTypes = builtins.listToAttrs (map (shortName: { name = shortName; value = { inherit shortName; isSource = shortName == "fromSource"; }; })
      [ "fromSource" "binaryNativeCode" "binaryBytecode" "binaryFirmware" ]);
    inherit (parts.options) mkOption mkEnableOption mkPackageOption types literalExpression mkIf mkMerge mkDefault mkForce mkOverride;
    inherit (parts.sources) cleanSource cleanSourceWith cleanSourceFilter sourceByRegex sourceFilesBySuffices pathType pathIsDirectory pathIsRegularFile;
    inherit (builtins)
      add addErrorContext all any attrNames attrValues bitAnd bitOr bitXor catAttrs ceil compareVersions concatLists concatMap concatStringsSep
      deepSeq elem elemAt filter floor foldl' fromJSON fromTOML functionArgs genList genericClosure getAttr groupBy hasAttr head intersectAttrs isAttrs isBool
      isFloat isFunction isInt isList isPath isString length lessThan listToAttrs mapAttrs match mul partition pathExists readFile removeAttrs replaceStrings
      seq sort split splitVersion stringLength sub substring tail toJSON trace tryEval typeOf unsafeGetAttrPos hashString hashFile isNull baseNameOf dirOf;
  };
  lib = parts // parts.trivial // parts.lists // parts.attrsets // parts.strings // parts.customisation // parts.fixedPoints // parts.meta // { inherit (parts.lists) replicate; };
in
lib
