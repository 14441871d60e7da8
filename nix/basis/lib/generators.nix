lib: rec {
  mkValueStringDefault = _: v:
    if v == true then "true" else if v == false then "false" else if v == null then "null"
    else if builtins.isInt v || builtins.isFloat v || lib.isStringLike v then toString v
    else throw "generators: a value of type ${builtins.typeOf v} cannot be written";
  mkKeyValueDefault = { mkValueString ? mkValueStringDefault { } }: sep: k: v: "${lib.escape [ sep ] k}${sep}${mkValueString v}";
  toKeyValue = { mkKeyValue ? mkKeyValueDefault { } "=", listsAsDuplicateKeys ? false, indent ? "" }: attrs:
    let line = k: v: indent + mkKeyValue k v + "\n"; in
    lib.concatStrings (builtins.concatLists (lib.mapAttrsToList (k: v: if listsAsDuplicateKeys then map (line k) (lib.toList v) else [ (line k v) ]) attrs));
  toINI = { mkSectionName ? (n: lib.escape [ "[" "]" ] n), mkKeyValue ? mkKeyValueDefault { } "=", listsAsDuplicateKeys ? false }: sections:
    builtins.concatStringsSep "\n" (lib.mapAttrsToList (name: values: "[${mkSectionName name}]\n" + toKeyValue { inherit mkKeyValue listsAsDuplicateKeys; } values) sections);
  toINIWithGlobalSection = args: { globalSection, sections ? { } }:
    (if globalSection == { } then "" else toKeyValue args globalSection + "\n") + toINI args sections;
  toJSON = _: builtins.toJSON;
  toYAML = toJSON;
  toGitINI = attrs: toINI { } attrs;
  toPretty = _: toNix;
  toLua = _: toNix;
  toNix = v:
    if builtins.isString v then lib.strings.escapeNixString v
    else if builtins.isList v then "[ ${lib.concatMapStringsSep " " toNix v} ]"
    else if builtins.isAttrs v then if v ? outPath then "<derivation ${v.name or ""}>" else "{ ${lib.concatStrings (lib.mapAttrsToList (k: x: "${builtins.toJSON k} = ${toNix x}; ") v)}}"
    else if lib.isFunction v then "<function>"
    else if v == null then "null" else if builtins.isBool v then lib.boolToString v else toString v;
  toDhall = toJSON;
}
