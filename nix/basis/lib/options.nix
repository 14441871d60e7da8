# Declarations of module options evaluate, so that flakes with modules can be read; modules themselves need nixpkgs.
lib:
let
  type = name: { _type = "option-type"; inherit name; description = name; };
in
{
  mkOption = attrs: attrs // { _type = "option"; };
  mkEnableOption = name: { _type = "option"; default = false; description = "Whether to enable ${toString name}."; type = type "bool"; };
  mkPackageOption = pkgs: name: _: { _type = "option"; default = pkgs.${lib.last (lib.toList name)}; };
  literalExpression = text: { _type = "literalExpression"; inherit text; };
  mkIf = condition: content: { _type = "if"; inherit condition content; };
  mkMerge = contents: { _type = "merge"; inherit contents; };
  mkOverride = priority: content: { _type = "override"; inherit priority content; };
  mkDefault = content: { _type = "override"; priority = 1000; inherit content; };
  mkForce = content: { _type = "override"; priority = 50; inherit content; };
  types = builtins.listToAttrs (map (name: { inherit name; value = type name; })
    [ "bool" "int" "str" "string" "lines" "commas" "path" "package" "port" "float" "number" "attrs" "anything" "raw" "unspecified" "singleLineStr" "nonEmptyStr" "deferredModule" ])
  // builtins.listToAttrs (map (name: { inherit name; value = _: type name; })
    [ "nullOr" "listOf" "attrsOf" "lazyAttrsOf" "enum" "submodule" "submoduleWith" "oneOf" "functionTo" "strMatching" "separatedString" "uniq" "unique" "nonEmptyListOf" ])
  // { either = _: _: type "either"; coercedTo = _: _: _: type "coercedTo"; ints = { positive = type "int"; unsigned = type "int"; between = _: _: type "int"; u8 = type "int"; u16 = type "int"; u32 = type "int"; }; };
}
