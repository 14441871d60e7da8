# Configuration files from Nix values.
self:
let
  inherit (self) lib;
in
{
  json = _: { type = lib.types.anything; generate = name: value: self.writeText name (builtins.toJSON value); };
  # JSON is YAML.
  yaml = _: { type = lib.types.anything; generate = name: value: self.writeText name (builtins.toJSON value); };
  ini = args: { type = lib.types.anything; generate = name: value: self.writeText name (lib.generators.toINI args value); };
  keyValue = args: { type = lib.types.anything; generate = name: value: self.writeText name (lib.generators.toKeyValue args value); };
}
